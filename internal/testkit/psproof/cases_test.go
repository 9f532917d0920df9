package psproof

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

func connect(ns string) []string { return words("Connect", `\\.\`+ns, "True PacketPrivacy") }

// callCases are every call of every kind, one case each.
func callCases() []proofCase {
	var out []proofCase
	for i, c := range calls() {
		switch {
		case c.Cmdlet != "":
			// one parameter is a list, one a switch, the others are text
			params, shown := map[string]any{}, []string{}
			for k, p := range c.Params {
				var v any = p + " " + nasty
				switch k % 3 {
				case 1:
					v = []any{nasty, int64(5), p}
				case 2:
					v = true
				}
				params[p] = v
				shown = append(shown, p+"="+show(v))
			}
			slices.Sort(shown)
			row, names := map[string]any{}, []any{}
			for _, p := range c.Props {
				row[p], names = selected(p), append(names, p)
			}
			var rows []any
			if len(c.Props) > 0 {
				rows = []any{row}
			}
			st := ask("cmdlet", obj("name", c.Cmdlet, "load", "DeployProof", "params", params, "select", names), rows...)
			out = append(out, proofCase{fmt.Sprintf("%03d %s", i, c.Cmdlet),
				[]step{st.records_(append(words(c.Cmdlet), shown...))}})
		case c.Method != "":
			out = append(out, methodCase(i, c.WMI, c.Method, c.Args))
		default:
			out = append(out, queryCase(i, c.WMI, c.Props))
		}
	}
	return out
}

func queryCase(i int, wmi string, props []string) proofCase {
	ns, name, _ := strings.Cut(wmi, ":")
	var list []string
	row := map[string]any{}
	names := []any{}
	for _, p := range props {
		if p, _, _ = strings.Cut(p, "."); !slices.Contains(list, p) {
			list, names = append(list, p), append(names, p)
			row[p] = value(p, 1)
		}
	}
	key := "" // a property that tells the two instances apart
	for _, p := range list {
		if t := typeOf(p); t == "String" || t == "UInt32" {
			key = p
			break
		}
	}
	// text is compared without case
	want := value(key, 1)
	if s, ok := want.(string); ok {
		want = strings.ToUpper(s)
	}
	st := ask("wmi.get", obj("ns", ns, "class", name, "props", names, "where", obj(key, want)), row)
	return proofCase{fmt.Sprintf("%03d %s", i, name),
		[]step{st.records_(connect(ns), words("Query", "SELECT "+strings.Join(list, ", ")+" FROM "+name))}}
}

func methodCase(i int, wmi, method string, arguments []string) proofCase {
	ns, name, _ := strings.Cut(wmi, ":")
	args, shown := map[string]any{}, []string{}
	for _, a := range arguments {
		if typeOf(a) == "String[]" {
			args[a] = []any{nasty, "second"}
			shown = append(shown, a+"="+show([]string{nasty, "second"}))
			continue
		}
		args[a] = a + nasty
		shown = append(shown, a+"="+show(a+nasty))
	}
	slices.Sort(shown)
	where, key := map[string]any{}, "class"
	records := [][]string{connect(ns)}
	for _, p := range classes()[name].props {
		if typeOf(p) == "String" {
			where[p], key = value(p, 1), "1"
			records = append(records, words("Query", "SELECT * FROM "+name))
			break
		}
	}
	st := ask("wmi.call", obj("ns", ns, "class", name, "where", where, "method", method, "args", args),
		obj("ReturnValue", int64(0)))
	return proofCase{fmt.Sprintf("%03d %s.%s", i, name, method),
		[]step{st.records_(append(records, words("InvokeMethod", name+" "+key, method, strings.Join(shown, " ")))...)}}
}

func cmdlet(name string, sel ...any) map[string]any {
	if sel == nil {
		sel = []any{}
	}
	return obj("name", name, "load", "DeployProof", "params", obj(), "select", sel)
}

// child is a request that runs this test's own program.
func child(mode string, stdin any, timeout int64) map[string]any {
	return obj("argv", []any{"{self}", "proof-child", mode}, "line", "proof-child "+mode, "dir", "", "stdin", stdin,
		"timeout", timeout)
}

func ran(code int64, stdout, stderr string) map[string]any {
	return obj("code", code, "stdout", []byte(stdout), "stderr", []byte(stderr))
}

func packed(s string) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestSpeed)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.Bytes()
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// cases are the traps and the verbs, each in a process of its own. In texts {dir} is the test's
// folder, {root} stands for the system's folder in it, {self} for this test's own program.
func cases() []proofCase {
	alive := ask("cmdlet", cmdlet("Get-TrapState", "Home"), obj("Home", true))
	state := ask("cmdlet", cmdlet("Get-TrapState", "Text", "Preference", "Home"),
		obj("Text", "1.5", "Preference", "Stop", "Home", true))
	interrupted := func(name string) step { return fails("cmdlet", cmdlet(name), "deploy.Interrupted", 1223) }
	refused := func(verb string, args map[string]any) step {
		return step{verb: verb, args: args, failed: map[string]any{}, exit: noExit}
	}
	rawStep := func(text string) step { return step{raw: text, silent: true, exit: noExit} }
	many := make([]any, 3000)
	for i := range many {
		many[i] = obj("Number", int64(i), "Text", strings.Repeat("x", 300))
	}
	megabyte := strings.Repeat("\u65e5\x00\"'$(`\n", 1<<20/10)
	out := []proofCase{
		{"break", []step{interrupted("Get-TrapBreak"), alive, interrupted("Get-TrapBreak"), alive}},
		{"continue", []step{interrupted("Get-TrapContinue"), alive}},
		{"exit", []step{alive, {verb: "cmdlet", args: cmdlet("Get-TrapExit"), exit: 7}}},
		{"foreign text on stdout", []step{
			ask("cmdlet", cmdlet("Get-TrapNoise", "Length"), obj("Length", int64(5))).says("noise of a host", "othernonce 1 D n",
				"noise without an end"), alive,
		}},
		{"state", []step{ask("cmdlet", cmdlet("Set-TrapState")), state, ask("cmdlet", cmdlet("Set-TrapState")),
			refused("cmdlet", cmdlet("Get-TrapSoft")), state}},
		{"errors", []step{
			{verb: "cmdlet", args: cmdlet("Get-TrapSoft"), failed: map[string]any{"category": "NotSpecified"}, exit: noExit},
			{verb: "cmdlet", args: cmdlet("Get-TrapThrow"),
				failed: map[string]any{"id": "free text $(exit 9)", "category": "OperationStopped"}, exit: noExit},
			{verb: "cmdlet", args: cmdlet("Get-TrapNet"),
				failed: map[string]any{"code": int64(0x80070002), "type": "System.IO.FileNotFoundException"}, exit: noExit},
			fails("cmdlet", cmdlet("Get-NoSuchCommand"), "deploy.Unsupported", 50),
			fails("cmdlet", cmdlet("Get-Disk;exit"), "deploy.Unsupported", 50),
			fails("cmdlet", cmdlet("Get-Disk\n"), "deploy.Unsupported", 50),
			fails("cmdlet", obj("name", "Get-Disk", "load", "NoSuchModule", "params", obj(), "select", []any{}),
				"deploy.Unsupported", 50),
			{verb: "cmdlet", args: merge(cmdlet("Get-TrapSoft"), obj("params", obj("NoSuchParameter", "x"))),
				failed: map[string]any{"id": "deploy.Unsupported"}, exit: noExit},
			fails("no.such.verb", obj(), "deploy.Unsupported", 50),
			alive,
		}},
		{"shapes", []step{
			ask("cmdlet", cmdlet("Get-TrapArrays", "One", "Two", "None", "Null", "Nulls", "Deep", "Absent"),
				obj("One", []any{int64(1)}, "Two", []any{int64(1), int64(2)}, "None", []any{},
					"Null", nil, "Nulls", []any{nil, nil}, "Deep", []any{[]any{int64(1)}, []any{int64(2), int64(3)}}, "Absent", nil)),
			ask("cmdlet", cmdlet("Get-TrapTypes", "Long", "Wide", "Double", "Decimal", "Date", "Char", "Yes", "Bytes", "Day",
				"Day:name", "Span", "Map"),
				obj("Long", int64(1<<63-1), "Wide", "18446744073709551615", "Double", "1.5", "Decimal", "2.5", "Date",
					"2026-01-31T10:20:30.0000000Z", "Char", "x", "Yes", true,
					"Bytes", []byte{0, 255}, "Day", int64(5), "Day:name", "Friday", "Span", "1.02:03:04", "Map",
					obj("a", "x", "b", int64(1)))),
			ask("cmdlet", cmdlet("Get-TrapMany", "Number", "Text"), many...),
		}},
		{"snap-in", []step{
			ask("cmdlet", obj("name", "Get-TrapState", "load", "snapin:Proof.Snapin", "params", obj(), "select", []any{}),
				obj()).unloaded(),
			fails("cmdlet", obj("name", "Get-TrapState", "load", "snapin:Other", "params", obj(), "select", []any{}),
				"deploy.Unsupported", 50),
		}},
		{"a child that reads stdin", []step{
			ask("run", child("stdin", nil, 60_000), ran(0, "0 "+sum(""), "")), alive,
			ask("run", child("stdin", []byte(megabyte), 60_000), ran(0, fmt.Sprintf("%d %s", len(megabyte), sum(megabyte)), "")),
			alive,
		}},
		{"a child that fills both streams",
			[]step{ask("run", child("flood", nil, 60_000), ran(3, strings.Repeat("o", 300_000), strings.Repeat("e", 300_000))),
				alive}},
		{"a child that does not read its stdin",
			[]step{ask("run", child("deaf", []byte(megabyte), 60_000), ran(0, "deaf", "")), alive}},
		{"a child that never ends", []step{fails("run", child("sleep", nil, 1500), "deploy.Timeout", 1460), alive}},
		{"a grandchild that keeps the pipes", []step{ask("run", child("orphan", nil, 60_000), ran(0, "parent", "")), alive}},
		{"no such program", []step{fails("run", merge(child("x", nil, 1000), obj("argv", []any{"{dir}/no-such-program"})),
			"deploy.Unsupported", 50), alive}},
		{"a cut frame at the end", []step{rawStep("{nonce} {id} Q o2:s"), {eof: true, exit: 0, failed: map[string]any{}}}},
		{"a request given up half way",
			[]step{rawStep("{nonce} {id} + o2:sdmVyYg==;sZm\n"), alive, rawStep("{nonce} {id} + a1:\n{nonce} {id} + n\n"),
				alive}},
		{"a request that comes twice", []step{alive, rawStep("{nonce} 1 Q o2:sYXJncw==;o0:sdmVyYg==;sZmFjdHM=;\n"), alive}},
		{"foreign text on stdin", []step{rawStep("some text\n\nothernonce 9 X n\n{nonce} 9 X\n"), alive}},
		{"broken payloads", []step{
			{raw: "{nonce} {id} Q o2:zz\n", failed: map[string]any{}, exit: noExit},
			{raw: "{nonce} {id} Q nn\n", failed: map[string]any{}, exit: noExit},
			{raw: "{nonce} {id} Q a9:n\n", failed: map[string]any{}, exit: noExit},
			{raw: "{nonce} {id} Q s!;\n", failed: map[string]any{}, exit: noExit},
			{raw: "{nonce} {id} Q s\n", failed: map[string]any{}, exit: noExit}, alive,
		}},
		{"leave", []step{alive, {raw: "{nonce} 0 X n\n", exit: 0}}},
		{"end of input", []step{alive, {eof: true, exit: 0}}},
		{"a megabyte", []step{
			ask("reg.set", obj("key", `HKLM\SOFTWARE\Proof`, "name", nasty, "type", "string", "data", megabyte)).records_(
				words("CreateSubKey", `HKLM\SOFTWARE\Proof`),
				words("SetValue", `HKLM\SOFTWARE\Proof\`+nasty, "String", show(megabyte))),
			ask("reg.get", obj("key", `HKLM\SOFTWARE\Proof`), obj("name", nasty, "type", "string", "data", megabyte)),
		}},
	}
	return append(out, verbCases()...)
}

// unloaded expects that the snap-in was added; the object's properties are not asked for.
func (s step) unloaded() step {
	s.records = [][]string{words("Add-PSSnapin", "Proof.Snapin")}
	return s
}
