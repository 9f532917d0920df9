package psproof

import "strings"

// verbCases are the verbs of package resident's doc.go against the stand-ins, and those on files
// against the real thing.
func verbCases() []proofCase {
	const key = `HKLM\SOFTWARE\Proof`
	set := func(name, kind string, data any, stored, shown string) step {
		return ask("reg.set", obj("key", key, "name", name, "type", kind, "data", data)).records_(words("CreateSubKey", key),
			words("SetValue", key+`\`+name, stored, shown))
	}
	tenant := "OU=a/b,DC=proof"
	text := strings.Repeat("some text "+nasty+"\n", 500)
	more := strings.Repeat("more ", 40_000)
	cimv2 := connect(`root\cimv2`)
	thing := func(verb string, kv ...any) map[string]any {
		return merge(obj("ns", `root\cimv2`, "class", "Proof_Thing"), obj(kv...))
	}
	all := words("Query", "SELECT * FROM Proof_Thing")
	task := func(id, user, password string, logon string) [][]string {
		return [][]string{
			words("SetAccessControl", `{root}\deploy\jobs`, "Access D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"),
			words("RegisterTaskDefinition", id, `{root}\system32\WindowsPowerShell\v1.0\powershell.exe`,
				`-NoProfile -NonInteractive -InputFormat None -ExecutionPolicy Bypass -File {root}\deploy\jobs\`+id+".ps1", user,
				password, "6 "+logon+" 1 PT3720S"),
			words("Run", id),
		}
	}
	return []proofCase{
		{"facts", []step{ask("facts", obj(), obj("version", "6.0.6002", "build", int64(6002), "sp", int64(2), "computer",
			"PROOF", "domain", "contoso.com", "domain_role", int64(3),
			"boot_id", "20261128100000.000000+000", "powershell", "{any}", "ui_language", "{any}", "arch", "amd64", "privileged",
			true)).records_(
			cimv2, words("Query", "SELECT * FROM Win32_OperatingSystem"), cimv2,
			words("Query", "SELECT * FROM Win32_ComputerSystem"))}},
		{"restart", []step{ask("restart", obj("reason", nasty)).records_(cimv2,
			words("Query", "SELECT * FROM Win32_OperatingSystem"),
			words("InvokeMethod", "Win32_OperatingSystem 0", "Win32ShutdownTracker",
				"Comment="+show(nasty)+" Flags=Int32:6 ReasonCode=UInt32:2147745794 Timeout=UInt32:2"))}},
		{"registry", []step{
			fails("reg.get", obj("key", key), "deploy.NotFound", 2),
			set("s", "string", nasty, "String", show(nasty)),
			set("e", "expand", `%SystemRoot%\x`, "ExpandString", show(`%SystemRoot%\x`)),
			set("d", "dword", int64(4294967295), "DWord", "Int32:-1"),
			set("q", "qword", int64(1<<40), "QWord", "Int64:1099511627776"),
			set("m", "multi", []any{"one", nasty}, "MultiString", show([]string{"one", nasty})),
			set("b", "binary", []byte{0, 255}, "Binary", "Byte[]{Byte:0,Byte:255}"),
			ask("reg.get", obj("key", key),
				obj("name", "b", "type", "binary", "data", []byte{0, 255}),
				obj("name", "d", "type", "dword", "data", int64(4294967295)),
				obj("name", "e", "type", "expand", "data", `%SystemRoot%\x`),
				obj("name", "m", "type", "multi", "data", []any{"one", nasty}),
				obj("name", "q", "type", "qword", "data", int64(1<<40)), obj("name", "s", "type", "string", "data", nasty)),
			ask("reg.keys", obj("key", `HKLM\SOFTWARE`), obj("name", "Proof")),
			ask("reg.del", obj("key", key, "name", "s")).records_(words("DeleteValue", key+`\s`, "False")),
			ask("reg.del", obj("key", key+"None", "name", "s")),
			fails("reg.delkey", obj("key", `HKLM\SOFTWARE`), "deploy.Refused", 5),
			ask("reg.delkey", obj("key", key)).records_(words("DeleteSubKeyTree", `HKLM\SOFTWARE\Proof`)),
			ask("reg.delkey", obj("key", key)),
			fails("reg.get", obj("key", `HKCU\Software`), "deploy.Unsupported", 50),
		}},
		ownerCase(),
		{"wmi", []step{
			ask("wmi.get", thing("", "props", []any{"Name"}, "where", obj()), obj("Name", "thing0"),
				obj("Name", "thing1")).records_(cimv2, words("Query", "SELECT Name FROM Proof_Thing")),
			ask("wmi.get", thing("", "props", []any{"Name"}, "where", obj("Count", int64(8)))).records_(cimv2,
				words("Query", "SELECT Name, Count FROM Proof_Thing")),
			fails("wmi.get", merge(thing("", "props", []any{}, "where", obj()), obj("class", "No_Such")), "deploy.Unsupported",
				0x80041010).records_(cimv2, words("Query", "SELECT * FROM No_Such")),
			fails("wmi.get", merge(thing("", "props", []any{}, "where", obj()), obj("ns", `root\missing`)), "deploy.Unsupported",
				0x8004100E).records_(connect(`root\missing`)),
			fails("wmi.get", thing("", "props", []any{"Name FROM X"}, "where", obj()), "deploy.Unsupported", 50).records_(cimv2),
			fails("wmi.get", thing("", "props", []any{"Name\n"}, "where", obj()), "deploy.Unsupported", 50).records_(cimv2),
			ask("wmi.set", thing("", "where", obj("Name", "THING1"), "set", obj("Private.Inner", nasty))).records_(cimv2, all,
				words("Put", "Proof_Thing 1", "Count=UInt32:7 List="+show([]string{"one", "one2"})+" Name="+show("thing1")+
					" Private=(Inner="+show(nasty)+") Same="+show("same"))),
			fails("wmi.set", thing("", "where", obj("Name", "none"), "set", obj("Same", "x")), "deploy.NotFound",
				2).records_(cimv2, all),
			fails("wmi.set", thing("", "where", obj("Same", "same"), "set", obj("Same", "x")), "deploy.Ambiguous",
				87).records_(cimv2, all),
			fails("wmi.call", thing("", "where", obj(), "method", "NoSuch", "args", obj()), "deploy.Unsupported",
				50).records_(cimv2),
		}},
		{"files", []step{
			ask("dir.make", obj("path", "{dir}/made/deep")), ask("dir.make", obj("path", "{dir}/made/deep")),
			fails("file.stat", obj("path", "{dir}/made/none"), "deploy.NotFound", 2),
			fails("file.stat", obj("path", "{dir}/no/such/folder"), "deploy.NotFound", 2),
			ask("file.put", obj("path", "{dir}/made/t", "offset", int64(0), "data", []byte(text), "packed", false)),
			ask("file.put", obj("path", "{dir}/made/t", "offset", int64(len(text)), "data", packed(more), "packed", true)),
			fails("file.put", obj("path", "{dir}/made/t", "offset", int64(5), "data", []byte("x"), "packed", false),
				"deploy.Changed", 38),
			ask("file.commit", obj("temp", "{dir}/made/t", "path", "{dir}/made/f \u65e5", "sha256", sum(text+more))),
			ask("file.hash", obj("path", "{dir}/made/f \u65e5"), obj("sha256", sum(text+more), "size", int64(len(text+more)))),
			ask("file.put", obj("path", "{dir}/made/t", "offset", int64(0), "data", []byte("new"), "packed", false)),
			fails("file.commit", obj("temp", "{dir}/made/t", "path", "{dir}/made/f \u65e5", "sha256", sum("other")),
				"deploy.Hash", 23),
			fails("file.stat", obj("path", "{dir}/made/t"), "deploy.NotFound", 2),
			ask("file.put", obj("path", "{dir}/made/t", "offset", int64(0), "data", []byte("new"), "packed", false)),
			ask("file.commit", obj("temp", "{dir}/made/t", "path", "{dir}/made/f \u65e5", "sha256", sum("new"))),
			ask("file.stat", obj("path", "{dir}/made/f \u65e5"), obj("size", int64(3), "dir", false, "modified", "{any}")),
			ask("file.read", obj("path", "{dir}/made/f \u65e5", "offset", int64(1), "count", int64(100)),
				obj("data", []byte("ew"), "size", int64(3))),
			ask("file.read", obj("path", "{dir}/made/f \u65e5", "offset", int64(9), "count", int64(100)),
				obj("data", []byte{}, "size", int64(3))),
			ask("file.remove", obj("path", "{dir}/made/deep", "tree", false)),
			ask("dir.list", obj("path", "{dir}/made"), obj("name", "f \u65e5", "dir", false, "size", int64(3))),
			fails("dir.list", obj("path", "{dir}/made/f \u65e5"), "deploy.NotDirectory", 267),
			ask("file.remove", obj("path", "{dir}/made", "tree", true)),
			ask("file.remove", obj("path", "{dir}/made", "tree", true)),
		}},
		{"access lists", []step{
			ask("dir.make", obj("path", "{dir}/kept")),
			ask("acl.get", obj("path", "{dir}/kept"), obj("sddl", "D:P(A;;FA;;;BA)")),
			ask("acl.set", obj("path", "{dir}/kept", "sddl", "D:P(A;;FA;;;SY)")).records_(words("SetAccessControl",
				"{sep dir kept}", "Access D:P(A;;FA;;;SY)")),
			fails("acl.get", obj("path", "{dir}/none"), "deploy.NotFound", 2),
		}},
		{"directory", []step{
			ask("ad.find", obj("base", "", "scope", "base", "filter", "", "attrs", []any{"dnsHostName"}),
				obj("dn", "", "dnsHostName", []any{"root dnsHostName"})).records_(words("RefreshCache", "LDAP://RootDSE")),
			ask("ad.find", obj("base", tenant, "scope", "one", "filter", "(cn="+nasty+")", "attrs", []any{"Mail"}),
				obj("dn", "CN=1", "Mail", []any{"Mail0"}), obj("dn", "CN=2", "Mail", []any{"Mail0", "Mail1"})).records_(
				words("RefreshCache", `LDAP://OU=a\/b,DC=proof`), words("FindAll", `LDAP://OU=a\/b,DC=proof`, "(cn="+nasty+")",
					"OneLevel 500")),
			fails("ad.find", obj("base", "CN=missing", "scope", "base", "filter", "", "attrs", []any{}), "deploy.NotFound",
				0x80072030).records_(words("RefreshCache", "LDAP://CN=missing")),
			ask("ad.add", obj("dn", `CN=x\,y,OU=z`, "class", "user", "attrs",
				obj("mail", []any{int64(1), int64(1 << 40), nasty}))).records_(
				words("RefreshCache", "LDAP://OU=z"), words("Children.Add", "LDAP://OU=z", `CN=x\,y`, "user"),
				words("Clear", `CN=x\,y below LDAP://OU=z`, "mail"),
				words("Add", `CN=x\,y below LDAP://OU=z`, "mail", "Int32:1"),
				words("Add", `CN=x\,y below LDAP://OU=z`, "mail", show("1099511627776")),
				words("Add", `CN=x\,y below LDAP://OU=z`, "mail", show(nasty)),
				words("CommitChanges", `CN=x\,y below LDAP://OU=z`)),
			ask("ad.mod", obj("dn", "CN=x", "set", obj("photo", []byte{1, 2}))).records_(words("RefreshCache", "LDAP://CN=x"),
				words("Clear", "LDAP://CN=x", "photo"),
				words("Add", "LDAP://CN=x", "photo", "Byte[]{Byte:1,Byte:2}"), words("CommitChanges", "LDAP://CN=x")),
			ask("ad.mod", obj("dn", "CN=x", "set", obj("mail", []any{}))).records_(words("RefreshCache", "LDAP://CN=x"),
				words("Clear", "LDAP://CN=x", "mail"), words("CommitChanges", "LDAP://CN=x")),
			ask("ad.del", obj("dn", "CN=x")).records_(words("RefreshCache", "LDAP://CN=x"), words("DeleteTree", "LDAP://CN=x"),
				words("CommitChanges", "LDAP://CN=x")),
		}},
		{"jobs", []step{
			fails("job.state", obj("id", "j1"), "deploy.NotFound", 2), ask("job.remove", obj("id", "j1")),
			fails("job.start", obj("id", `..\x`, "argv", []any{"x"}, "line", "", "dir", "", "user", "", "password", "", "limit",
				int64(0)), "deploy.BadName", 87),
			fails("job.state", obj("id", "j1\n"), "deploy.BadName", 87),
			ask("job.start", obj("id", "j1", "argv", []any{"{self}"}, "line", nasty, "dir", "{dir}", "user", `DOM\svc`,
				"password", nasty, "limit", int64(3600))).records_(
				task("j1", show(`DOM\svc`), show(nasty), "1")...),
			// known: does nothing
			ask("job.start", obj("id", "j1", "argv", []any{"{self}"}, "line", "", "dir", "", "user", "", "password", "", "limit",
				int64(3600))),
			ask("job.start", obj("id", "j2", "argv", []any{"{self}"}, "line", "", "dir", "", "user", "", "password", "", "limit",
				int64(3600))).records_(
				task("j2", show("name of S-1-5-18"), "null", "5")...),
			ask("job.state", obj("id", "j1"), obj("phase", "running", "code", int64(0), "output", []byte{})),
			fails("job.remove", obj("id", "j1"), "deploy.Busy", 170),
		}},
	}
}
