package directory

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

// dnscmd emulates dnscmd.exe for the commands that the reference documents. The last line of an
// answer is "Command completed successfully." or "Command failed: SYMBOL dec 0xHEX"; symbol and
// numbers are never translated.
func dnscmd(c *machine.Ctx, argv []string, _ []byte) machine.Result {
	args := argv[1:]
	if len(args) > 0 && !strings.HasPrefix(args[0], "/") {
		server := strings.ToLower(args[0])
		host, _, _ := strings.Cut(server, ".")
		if host != strings.ToLower(c.M.Name) && host != "localhost" && server != "127.0.0.1" {
			return dnsAnswer("", 1722) // RPC_S_SERVER_UNAVAILABLE
		}
		args = args[1:]
	}
	if len(args) == 0 {
		return machine.Result{Code: 87, Stdout: "USAGE: DnsCmd <ServerName> <Command> [<Command Parameters>]\r\n"}
	}
	cmd, rest := strings.ToLower(args[0]), args[1:]
	if cmd == "/enumzones" {
		var b strings.Builder
		for _, n := range zoneNames(c.W.Forest) {
			fmt.Fprintf(&b, " %-28s Primary    AD-Domain\r\n", c.W.Forest.Zones[n].Name)
		}
		return dnsAnswer(b.String(), 0)
	}
	if len(rest) == 0 {
		return dnsAnswer("", 87)
	}
	z := ZoneOf(c.W.Forest, rest[0])
	if z == nil {
		return dnsAnswer("", dnsZoneMissing)
	}
	rest = rest[1:]
	switch cmd {
	case "/enumrecords":
		return enumRecords(z, rest)
	case "/recordadd":
		return recordAdd(z, rest)
	case "/recorddelete":
		return recordDelete(z, rest)
	case "/zoneinfo":
		if len(rest) > 0 && !strings.EqualFold(rest[0], "AllowUpdate") {
			return dnsAnswer("", 87)
		}
		return dnsAnswer(fmt.Sprintf("Query result:\r\nDword:  %d (%08x)\r\n\r\n", z.DynamicUpdate, z.DynamicUpdate), 0)
	case "/config":
		if len(rest) == 2 && strings.EqualFold(rest[0], "/AllowUpdate") {
			if n, err := strconv.Atoi(rest[1]); err == nil && n >= 0 && n <= 2 {
				z.DynamicUpdate = n
				return dnsAnswer("", 0)
			}
		}
		return dnsAnswer("", 87)
	}
	return dnsAnswer("", 87)
}

func enumRecords(z *model.Zone, args []string) machine.Result {
	if len(args) == 0 {
		return dnsAnswer("", 87)
	}
	name, typ := relative(args[0], z), ""
	for i, a := range args {
		if strings.EqualFold(a, "/type") && i+1 < len(args) {
			typ = args[i+1]
		}
	}
	list := Records(z, name, typ)
	if len(list) == 0 && len(Records(z, name, "")) == 0 {
		return dnsAnswer("", dnsNameMissing)
	}
	var b strings.Builder
	b.WriteString("Returned records:\r\n")
	for i, r := range list {
		label := name
		if i > 0 {
			label = "\t\t" // only the first record of a name carries it
		}
		fmt.Fprintf(&b, "%s %d %s\t%s\r\n", label, r.TTL, r.Type, r.Data)
	}
	return dnsAnswer(b.String()+"\r\n", 0)
}

func recordAdd(z *model.Zone, args []string) machine.Result {
	name, ttl, typ, data, ok := recordArgs(args)
	ip, err := netip.ParseAddr(data)
	if !ok || !strings.EqualFold(typ, "A") || err != nil || !ip.Is4() {
		return dnsAnswer("", 87)
	}
	r := model.Record{Name: relative(name, z), Type: "A", Data: ip.String(), TTL: ttl}
	if code := addRecord(z, r); code != 0 {
		return dnsAnswer("", code)
	}
	return dnsAnswer(fmt.Sprintf("Add A Record for %s at %s\r\n", fqdn(&r, z), z.Name), 0)
}

// recordArgs reads NODE [TTL] TYPE DATA.
func recordArgs(args []string) (name string, ttl int, typ, data string, ok bool) {
	ttl = defaultTTL
	if len(args) == 4 {
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return "", 0, "", "", false
		}
		ttl = n
		args = []string{args[0], args[2], args[3]}
	}
	if len(args) != 3 {
		return "", 0, "", "", false
	}
	return args[0], ttl, args[1], args[2], true
}

func recordDelete(z *model.Zone, args []string) machine.Result {
	force := len(args) > 0 && strings.EqualFold(args[len(args)-1], "/f")
	if !force {
		// nobody answers: ERROR_CANCELLED
		return machine.Result{Code: 1223, Stdout: "Are you sure you want to delete record? (y/n) "}
	}
	args = args[:len(args)-1]
	if len(args) < 2 {
		return dnsAnswer("", 87)
	}
	data := ""
	if len(args) > 2 {
		data = args[2]
	}
	if removeRecords(z, relative(args[0], z), args[1], data) == 0 {
		return dnsAnswer("", dnsRecordMissing)
	}
	return dnsAnswer(fmt.Sprintf("Deleted %s record(s) at %s\r\n", args[1], z.Name), 0)
}

func dnsAnswer(text string, code int64) machine.Result {
	if code == 0 {
		return machine.Result{Stdout: text + "Command completed successfully.\r\n"}
	}
	symbol := map[int64]string{87: "ERROR_INVALID_PARAMETER", 1722: "RPC_S_SERVER_UNAVAILABLE",
		dnsZoneMissing:   "DNS_ERROR_ZONE_DOES_NOT_EXIST",
		dnsRecordMissing: "DNS_ERROR_RECORD_DOES_NOT_EXIST", dnsRecordExists: "DNS_ERROR_RECORD_ALREADY_EXISTS",
		dnsNameMissing: "DNS_ERROR_NAME_DOES_NOT_EXIST"}[code]
	return machine.Result{Code: int(code), Stdout: fmt.Sprintf("%s\r\nCommand failed:  %s     %d    0x%X\r\n", text,
		symbol, code, code)}
}
