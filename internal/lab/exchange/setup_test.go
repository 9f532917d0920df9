package exchange

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"deploy/internal/lab/directory"
	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/internal/node"
)

func TestSwitches(t *testing.T) {
	for _, form := range [][]string{
		{"/PrepareSchema"}, {"/ps"}, {"-ps"}, {"/PREPARESCHEMA", "/DomainController:dc01"}, {"/ps", "/dc:dc01"},
	} {
		x := newWorld(t, node.WS2008, "en", "exchange-2007-sp1")
		x.must("dc01", form...)
		if got := object(x.w.Forest, schemaVersionDN(x.w.Forest), "rangeUpper"); got != "11116" {
			t.Errorf("%v leaves the schema at %q", form, got)
		}
	}
	x := newWorld(t, node.WS2008, "en", "exchange-2007-sp1")
	for _, bad := range [][]string{{"/PrepareShema"}, {"/mode:Install", "/rolls:Mailbox"}, {"PrepareSchema"}} {
		code, said, log := x.setup("dc01", bad...)
		if code != 1 || !strings.Contains(said, "is not recognized") || log != "" {
			t.Errorf("%v: exit %d, said %q, log %q", bad, code, said, log)
		}
	}
	x.refused("", "cannot be contacted", "dc01", "/ps", "/dc:dc09")
	x.refused("", "combination of parameters", "n1", "/mode:RecoverServer")
	x.refused("", "combination of parameters", "n1", "/m:Upgrade", "/r:M")
}

func TestRoleNames(t *testing.T) {
	for _, short := range []string{"/roles:Mailbox", "/r:MB", "/role:m", "/r:M,T"} {
		x := prepared(t, "en")
		x.must("n1", "/m:Install", short)
		if !hasRole(x.w.Machine("n1"), "Mailbox") {
			t.Errorf("%s installs no Mailbox role", short)
		}
	}
	x := prepared(t, "en")
	x.refused("", "is not known", "n1", "/r:Mailboxes")
	x.refused("", "Edge Transport", "n1", "/r:E")
}

func TestPrerequisites(t *testing.T) {
	for _, tc := range []struct {
		rule    string
		release node.Release
		media   string
		spoil   func(c *machine.Ctx)
	}{
		{"ComputerNotPartofDomain", node.WS2008, "exchange-2007-sp1", func(c *machine.Ctx) { c.M.Domain = "" }},
		{"OSVersionNotSupported", node.WS2008, "exchange-2007-rtm", nil},
		{"OSVersionNotSupported", node.WS2008R2, "exchange-2007-sp1", nil},
		{"OSVersionNotSupported", node.WS2016, "exchange-2007-sp3", nil},
		{"PendingRebootWindowsComponents", node.WS2008, "exchange-2007-sp1",
			func(c *machine.Ctx) { machine.PendReboot(c, "test", "cbs") }},
		{"CannotAccessAD", node.WS2008, "exchange-2007-sp1",
			func(c *machine.Ctx) { machine.GoDown(c.On(c.W.Machine("dc01"))) }},
		{"SchemaNotPrepared", node.WS2008, "exchange-2007-sp1", nil},
	} {
		x := newWorld(t, tc.release, "en", tc.media)
		if tc.spoil != nil {
			tc.spoil(x.at("n1"))
		}
		x.refused(tc.rule, "[REQUIRED]", "n1", "/mode:Install", "/roles:Mailbox")
	}
	x := newWorld(t, node.WS2008, "en", "exchange-2007-sp1")
	x.must("dc01", "/ps")
	x.refused("ADNotPrepared", "organization", "n1", "/mode:Install", "/roles:Mailbox")

	x = prepared(t, "en")
	for _, f := range needs("Mailbox") {
		m := x.w.Machine("n1")
		if f == "PowerShell" {
			continue // the machines have it from the Windows Management Framework
		}
		m.Features[f] = false
		x.refused("WindowsComponent"+f, f, "n1", "/mode:Install", "/roles:Mailbox")
		m.Features[f] = true
	}
	x = clustered(t, "en")
	x.refused("ClusterInvalidRole", "only the Mailbox role", "n1", "/mode:Install", "/roles:Mailbox,ClientAccess")
}

func TestPrepareOrder(t *testing.T) {
	x := newWorld(t, node.WS2008, "en", "exchange-2007-sp1")
	f := x.w.Forest
	x.refused("SchemaNotPrepared", "schema", "dc01", "/PrepareAD", "/on:Contoso")
	x.refused("ADNotPrepared", "organization", "dc01", "/PrepareDomain")
	x.must("dc01", "/PrepareSchema")
	x.refused("", "organizationname is needed", "dc01", "/PrepareAD")
	x.must("dc01", "/p", "/OrganizationName:Contoso")
	if org := organization(f); !strings.HasPrefix(org, "CN=Contoso,CN=Microsoft Exchange,CN=Services,") ||
		object(f, org, "objectVersion") != "11221" {
		t.Errorf("the organisation is %s with version %s", org, object(f, organization(f), "objectVersion"))
	}
	x.refused("", "cannot be given", "dc01", "/PrepareAD", "/OrganizationName:Contoso")
	x.refused("", "cannot be found", "dc01", "/PrepareDomain:other.com")
	x.must("dc01", "/pd:contoso.com")
	if got := object(f, systemObjectsDN(f), "objectVersion"); got != "11221" {
		t.Errorf("the domain is at %q", got)
	}
	x.must("dc01", "/PrepareSchema") // once more changes nothing
	x.must("dc01", "/PrepareAD")
}

func TestInstallAndUninstall(t *testing.T) {
	x := clustered(t, "en")
	before := len(x.w.Machine("n1").Services)
	x.must("n1", "/mode:Install", "/roles:Mailbox")
	if v, m, w := x.reg("n1", `\v8.0\MailboxRole`, "ConfiguredVersion"),
		x.reg("n1", `\v8.0\MailboxRole`, "UnpackedVersion"),
		x.reg("n1", `\v8.0\MailboxRole`, "Watermark"); v != "8.1.240.6" || m != v || w != nil {
		t.Errorf("registry: configured %v, unpacked %v, watermark %v", v, m, w)
	}
	if v := x.reg("n1", `\v8.0\AdminTools`, "ConfiguredVersion"); v != "8.1.240.6" {
		t.Errorf("the tools are %v", v)
	}
	// the cluster starts and stops the store and the attendant
	for name, want := range map[string]string{"MSExchangeIS": "start 3 state 1", "MSExchangeSA": "start 3 state 1",
		"MSExchangeADTopology": "start 2 state 4", "msftesql-Exchange": "start 3 state 1"} {
		if got := x.service("n1", name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for _, typ := range Types() {
		if x.cluster().Types[typ.Name] == nil {
			t.Errorf("the cluster does not know the type %s", typ.Name)
		}
	}
	if directory.Get(x.w.Forest, serverDN(x.w.Forest, "n1")) != nil {
		t.Error("a node of a cluster is no server of its own")
	}
	x.must("n1", "/mode:Uninstall")
	if machine.RegKey(x.at("n1"), regRoot) != nil || x.service("n1", "MSExchangeIS") != "none" ||
		len(x.w.Machine("n1").Services) != before ||
		machine.Exists(x.at("n1"), installed) || x.cluster().Types[typeSA] != nil {
		t.Error("uninstalling leaves something behind")
	}
	x.refused("", "not installed", "n1", "/mode:Uninstall")

	alone := prepared(t, "en")
	for _, f := range needs("ClientAccess") {
		alone.tool("n1", "ServerManagerCmd.exe", "-install", f)
	}
	alone.w.Machine("n1").Pending = nil
	alone.must("n1", "/mode:Install", "/roles:Mailbox,ClientAccess,HubTransport")
	if got := alone.service("n1", "MSExchangeIS"); got != "start 2 state 4" {
		t.Errorf("without a cluster the store is %s", got)
	}
	if directory.Get(alone.w.Forest, serverDN(alone.w.Forest, "n1")) == nil {
		t.Error("a server without a cluster has an object of its own")
	}
	alone.must("n1", "/mode:Uninstall", "/roles:ClientAccess")
	if m := alone.w.Machine("n1"); hasRole(m, "ClientAccess") || !hasRole(m, "Mailbox") {
		t.Errorf("roles are %v", m.Products[Product].Roles)
	}
	if alone.service("n1", "MSExchangePOP3") != "none" || alone.service("n1", "MSExchangeADTopology") == "none" {
		t.Error("with a role its own services go, and only those")
	}
}

func TestSetupThatFailsLeavesItsWatermarkAndGoesOn(t *testing.T) {
	for _, stage := range []string{"", "Copying-Exchange-Files", "Mailbox-Server-Role"} {
		x := clustered(t, "en")
		x.w.Faults = []*model.Fault{{Kind: "setup-fails", Machine: "n1", Times: 1,
			Args: map[string]string{"at": stage, "code": "7"}}}
		code, said, log := x.setup("n1", "/mode:Install", "/roles:Mailbox")
		if code != 7 || !strings.Contains(said, "FAILED") ||
			!strings.Contains(log, "CurrentResult setupbase.maincore:396: 7") {
			t.Errorf("%s: exit %d\n%s\n%s", stage, code, said, log)
		}
		key := `\v8.0\MailboxRole`
		if x.reg("n1", key, "UnpackedVersion") != "8.1.240.6" || x.reg("n1", key, "Action") != "Install" ||
			x.reg("n1", key, "Watermark") == nil || x.reg("n1", key, "ConfiguredVersion") != nil {
			t.Errorf("%s: the registry does not show a setup that was cut", stage)
		}
		if hasRole(x.w.Machine("n1"), "Mailbox") {
			t.Errorf("%s: the role counts as installed", stage)
		}
		x.must("n1", "/mode:Install", "/roles:Mailbox")
		if x.reg("n1", key, "ConfiguredVersion") != "8.1.240.6" || x.reg("n1", key, "Action") != nil ||
			x.reg("n1", key, "Watermark") != nil {
			t.Errorf("%s: the second run did not finish it", stage)
		}
	}
	// what was cut goes first
	x := prepared(t, "en")
	x.w.Faults = []*model.Fault{{Kind: "setup-fails", Times: 1, Args: map[string]string{}}}
	x.setup("n1", "/mode:Install", "/roles:Mailbox")
	x.refused("", "did not complete", "n1", "/mode:Install", "/roles:HubTransport")
	x.must("n1", "/mode:Uninstall")
	x.must("n1", "/mode:Install", "/roles:HubTransport")
}

func TestTwoSetupsAtOnce(t *testing.T) {
	x := prepared(t, "en")
	x.during = func() {
		x.refused("SetupAlreadyRunning", "another instance", "n1", "/mode:Install", "/roles:HubTransport")
	}
	x.must("n1", "/mode:Install", "/roles:Mailbox")
	if x.during != nil || hasRole(x.w.Machine("n1"), "HubTransport") {
		t.Error("nothing ran meanwhile, or it did more than it may")
	}
	x.must("n1", "/mode:Install", "/roles:HubTransport")
}

// The log is the same in every language. Source: exchange.md A4.
func TestLog(t *testing.T) {
	var logs []string
	for _, locale := range []string{"en", "fr", "de", "ja"} {
		x := newWorld(t, node.WS2008, locale, "exchange-2007-sp1")
		_, _, log := x.setup("dc01", "/mode:Install", "/roles:Mailbox")
		logs = append(logs, log)
	}
	if len(slices.Compact(slices.Clone(logs))) != 1 {
		t.Errorf("the logs differ:\n%s", strings.Join(logs, "\n"))
	}
	lines := strings.Split(strings.TrimSuffix(logs[0], "\r\n"), "\r\n")
	stamp := regexp.MustCompile(`^\[01/02/2026 03:04:05\.6780\] \[\d\] `)
	for i, l := range lines {
		if i > 0 && !stamp.MatchString(l) { // of the first line only the text is there
			t.Errorf("line %d: %q", i, l)
		}
	}
	at := 0
	for _, want := range []string{"Starting Microsoft Exchange Server 2007 Setup", "[0] Setup version: 8.1.240.6.",
		`[0] Logged on user: CONTOSO\admin.`,
		"[0] Command Line Parameter Name='mode', Value='Install'.",
		"[0] Command Line Parameter Name='roles', Value='Mailbox'.", "[0] The installation mode is set to: 'Install'.",
		"[1] Failed [Rule:SchemaNotPrepared]", "[1] [REQUIRED] ", "[1] Help URL: ", "[1] [ERROR] ",
		"[0] CurrentResult setupbase.maincore:396: 1", "[0] End of Setup"} {
		i := slices.IndexFunc(lines[at:], func(l string) bool { return strings.Contains(l, want) })
		if i < 0 {
			t.Errorf("no %q behind line %d of\n%s", want, at, logs[0])
			continue
		}
		at += i
	}
	// a log that cannot be written stops setup before it does anything
	x := newWorld(t, node.WS2008, "en", "exchange-2007-sp1")
	x.w.Faults = []*model.Fault{{Kind: "disk-full", Times: -1, Args: map[string]string{}}}
	if code, said, _ := x.setup("dc01", "/PrepareSchema"); code != 1 ||
		!strings.Contains(said, "log file cannot be written") ||
		directory.Get(x.w.Forest, schemaVersionDN(x.w.Forest)) != nil {
		t.Errorf("without a log: exit %d, %s", code, said)
	}
}
