package machine

import (
	"fmt"
	"strings"
)

// rightsOf are the simple rights of icacls as SDDL writes them.
func rightsOf() map[string]string {
	return map[string]string{"F": "FA", "M": "0x1301bf", "RX": "0x1200a9", "R": "FR", "W": "0x100116", "N": ""}
}

// accountSID turns an account into what stands in SDDL: *S-1-..., a well-known name in the
// machine's language, or DOMAIN\name.
func accountSID(c *Ctx, account string) (string, bool) {
	if sid, ok := strings.CutPrefix(account, "*"); ok {
		if !strings.HasPrefix(strings.ToUpper(sid), "S-1-") {
			return "", false
		}
		if alias, ok := sidAliases()[strings.ToUpper(sid)]; ok {
			return alias, true
		}
		return strings.ToUpper(sid), true
	}
	name := account[strings.LastIndexByte(account, '\\')+1:]
	for alias, t := range accountNames() {
		if strings.EqualFold(c.Pick(t), name) {
			return alias, true
		}
	}
	if d, n, ok := strings.Cut(account, `\`); ok && c.W.Forest != nil &&
		(strings.EqualFold(d, c.W.Forest.NetBIOS) || strings.EqualFold(d, c.W.Forest.Domain)) {
		o := c.On(c.M)
		o.User = `D\` + n
		return userSID(o), true
	}
	return "", false
}

// accountNames are the names of well-known accounts: they are translated, which is why a script
// gives SIDs.
func accountNames() map[string][4]string {
	return map[string][4]string{
		"SY": {"SYSTEM", "Système", "SYSTEM", "SYSTEM"},
		"BA": {"Administrators", "Administrateurs", "Administratoren", "Administrators"},
		"BU": {"Users", "Utilisateurs", "Benutzer", "Users"},
		"NS": {"NETWORK SERVICE", "SERVICE RÉSEAU", "Netzwerkdienst", "NETWORK SERVICE"},
		"LS": {"LOCAL SERVICE", "SERVICE LOCAL", "Lokaler Dienst", "LOCAL SERVICE"},
		"WD": {"Everyone", "Tout le monde", "Jeder", "Everyone"},
		"AU": {"Authenticated Users", "Utilisateurs authentifiés", "Authentifizierte Benutzer", "Authenticated Users"},
		"CO": {"CREATOR OWNER", "CREATEUR PROPRIETAIRE", "ERSTELLER-BESITZER", "CREATOR OWNER"},
	}
}

func icaclsEnd(c *Ctx, ok, bad int) Result {
	r := Result{Stdout: fmt.Sprintf(c.Pick([4]string{"Successfully processed %d files; Failed processing %d files",
		"%d fichiers correctement traités ; échec du traitement de %d fichiers",
		"%d Dateien erfolgreich verarbeitet, bei %d Dateien ist ein Verarbeitungsfehler aufgetreten.",
		"%d 個のファイルが正常に処理されました。%d 個のファイルを処理できませんでした"}), ok, bad) + "\r\n"}
	if bad > 0 {
		r.Code = 5 // UNCONFIRMED: icacls' exit code is not documented
	}
	return r
}

// icaclsTool lists, grants (/grant, /grant:r), removes (/remove), switches inheritance
// (/inheritance:) and sets the owner of one path (/setowner).
func icaclsTool(c *Ctx, argv []string, _ []byte) Result {
	if len(argv) < 2 {
		return Result{Code: errInvalidParameter}
	}
	path := argv[1]
	f, err := StatFile(c, path)
	if err != nil {
		r := icaclsEnd(c, 0, 1)
		r.Code = 2
		r.Stderr = path + ": " + c.AsFail(err).Text + "\r\n"
		return r
	}
	acl, err := GetACL(c, path)
	if err != nil {
		return icaclsEnd(c, 0, 1)
	}
	aces, protected := ownACEs(f)
	changed, owned := false, false
	for i := 2; i < len(argv); i++ {
		low := strings.ToLower(argv[i])
		switch {
		case low == "/t" || low == "/c" || low == "/q" || low == "/l":
		case low == "/grant" || low == "/grant:r":
			for i+1 < len(argv) && !strings.HasPrefix(argv[i+1], "/") {
				i++
				account, perm, ok := strings.Cut(argv[i], ":")
				sid, known := accountSID(c, account)
				ace, valid := aceOf(perm, sid)
				if !ok || !known || !valid {
					r := icaclsEnd(c, 0, 1)
					r.Code = 1332 // ERROR_NONE_MAPPED
					return r
				}
				if low == "/grant:r" {
					aces = without(aces, sid)
				}
				if !contains(aces, ace) {
					aces = append(aces, ace)
				}
				changed = true
			}
		case low == "/remove" || low == "/remove:g":
			for i+1 < len(argv) && !strings.HasPrefix(argv[i+1], "/") {
				i++
				sid, _ := accountSID(c, argv[i])
				aces, changed = without(aces, sid), true
			}
		case low == "/setowner" && i+1 < len(argv):
			i++
			sid, known := accountSID(c, argv[i])
			if !known {
				r := icaclsEnd(c, 0, 1)
				r.Code = 1332 // ERROR_NONE_MAPPED
				return r
			}
			f.Owner = sid
			owned = true
		case strings.HasPrefix(low, "/inheritance:"):
			changed = true
			switch low[len("/inheritance:"):] {
			case "e":
				protected = false
			case "r":
				protected = true
			case "d":
				_, all, _ := aclParts(acl)
				aces, protected = nil, true
				for _, a := range all {
					aces = append(aces, strings.Replace(a, "ID;", ";", 1))
				}
			default:
				return Result{Code: errInvalidParameter}
			}
		default:
			return Result{Code: errInvalidParameter, Stderr: c.Text(errInvalidParameter) + "\r\n"}
		}
	}
	if owned && !changed {
		return icaclsEnd(c, 1, 0)
	}
	if !changed {
		r := icaclsEnd(c, 1, 0)
		r.Stdout = icaclsList(c, path, acl) + "\r\n" + r.Stdout
		return r
	}
	flag := "D:AI"
	if protected {
		flag = "D:PAI"
	}
	if err := SetACL(c, path, flag+strings.Join(aces, "")); err != nil {
		return icaclsEnd(c, 0, 1)
	}
	return icaclsEnd(c, 1, 0)
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func without(aces []string, sid string) []string {
	var out []string
	for _, a := range aces {
		if aceField(a, 5) != sid {
			out = append(out, a)
		}
	}
	return out
}

// aceOf makes an entry of "(OI)(CI)F".
func aceOf(perm, sid string) (string, bool) {
	flags := ""
	for strings.HasPrefix(perm, "(") {
		in, rest, ok := strings.Cut(perm[1:], ")")
		if !ok {
			return "", false
		}
		switch in = strings.ToUpper(in); in {
		case "OI", "CI", "IO", "NP":
			flags += in
			perm = rest
			continue
		}
		perm = in + rest
		break
	}
	right, ok := rightsOf()[strings.ToUpper(perm)]
	if !ok || right == "" {
		return "", false
	}
	return "(A;" + flags + ";" + right + ";;;" + sid + ")", true
}

func icaclsList(c *Ctx, path, sddl string) string {
	_, aces, _ := aclParts(sddl)
	var b strings.Builder
	lead := path + " "
	for _, a := range aces {
		name := aceField(a, 5)
		if t, ok := accountNames()[name]; ok {
			name = c.Pick(t)
			switch aceField(a, 5) {
			case "BA", "BU":
				name = c.Pick([4]string{`BUILTIN\`, `BUILTIN\`, `VORDEFINIERT\`, `BUILTIN\`}) + name
			case "SY", "NS", "LS", "AU":
				name = c.Pick([4]string{`NT AUTHORITY\`, `AUTORITE NT\`, `NT-AUTORITÄT\`, `NT AUTHORITY\`}) + name
			}
		}
		flags := aceField(a, 1)
		marks := ""
		for _, m := range []struct{ in, out string }{{"ID", "(I)"}, {"OI", "(OI)"}, {"CI", "(CI)"}, {"IO", "(IO)"}} {
			if strings.Contains(flags, m.in) {
				marks += m.out
			}
		}
		right := aceField(a, 2)
		for short, long := range rightsOf() {
			if strings.EqualFold(long, right) {
				right = short
			}
		}
		b.WriteString(lead + name + ":" + marks + "(" + right + ")\r\n")
		lead = strings.Repeat(" ", len(path)+1)
	}
	return b.String()
}

// caclsTool prints a list, or SDDL with /s, and sets SDDL with /s:. What asks a question in the
// machine's own letters is refused.
func caclsTool(c *Ctx, argv []string, _ []byte) Result {
	if len(argv) < 2 {
		return Result{Code: 1}
	}
	path := argv[1]
	sddl, err := GetACL(c, path)
	if err != nil {
		return Result{Code: 1, Stderr: c.AsFail(err).Text + "\r\n"}
	}
	for _, a := range argv[2:] {
		low := strings.ToLower(a)
		switch {
		case low == "/s":
			return Result{Stdout: path + " \"" + sddl + "\"\r\n"}
		case strings.HasPrefix(low, "/s:"):
			if err := SetACL(c, path, strings.Trim(a[3:], `"`)); err != nil {
				return Result{Code: 1, Stderr: c.AsFail(err).Text + "\r\n"}
			}
			return Result{}
		case low == "/t" || low == "/c":
		default:
			return Result{Code: 1, Stderr: "deploy lab: cacls " + a + " is not emulated\r\n"}
		}
	}
	return Result{Stdout: icaclsList(c, path, sddl)}
}
