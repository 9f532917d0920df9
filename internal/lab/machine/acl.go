package machine

import (
	"strings"

	"deploy/internal/lab/model"
)

// defaultACEs are what the root of a volume hands down: SYSTEM and Administrators full, Users read,
// as on a fresh NTFS volume.
const defaultACEs = "(A;OICIID;FA;;;SY)(A;OICIID;FA;;;BA)(A;OICIID;0x1200a9;;;BU)"

// aclParts cuts the access part of an SDDL text into its flags and entries; ok false says that it
// is none.
func aclParts(sddl string) (flags string, aces []string, ok bool) {
	i := strings.Index(sddl, "D:")
	if i < 0 {
		return "", nil, false
	}
	body := sddl[i+2:]
	if j := strings.Index(body, "S:"); j >= 0 && !strings.Contains(body[:j], "(") {
		body = body[:j]
	}
	k := strings.IndexByte(body, '(')
	if k < 0 {
		return strings.TrimSpace(body), nil, true
	}
	flags = strings.TrimSpace(body[:k])
	for _, a := range strings.Split(body[k:], ")") {
		a = strings.TrimSpace(a)
		if a == "" {
			continue
		}
		if !strings.HasPrefix(a, "(") {
			return flags, aces, strings.HasPrefix(a, "S:") // an audit part may follow
		}
		if strings.Count(a, ";") < 5 {
			return "", nil, false
		}
		aces = append(aces, a+")")
	}
	return flags, aces, true
}

func aceField(ace string, n int) string {
	return strings.Split(strings.Trim(ace, "()"), ";")[n]
}

// GetACL returns the discretionary list of a path as SDDL, with the entries that it inherits.
func GetACL(c *Ctx, path string) (string, error) {
	p, err := c.at(path)
	if err != nil {
		return "", err
	}
	f := p.get()
	if f == nil {
		return "", c.HRESULT(errFileNotFound)
	}
	return p.acl(), nil
}

func (p place) acl() string {
	f := p.get()
	flags, own, ok := "", []string(nil), false
	if f != nil && f.SDDL != "" {
		flags, own, ok = aclParts(f.SDDL)
	}
	if ok && strings.Contains(flags, "P") {
		return "D:PAI" + strings.Join(own, "")
	}
	inherited := defaultACEs
	if !p.root {
		inherited = handedDown(p.parent().acl(), f != nil && f.Dir)
	}
	return "D:AI" + strings.Join(own, "") + inherited
}

// handedDown are the entries that a child gets from its parent's list: the inheritable ones, marked
// ID.
func handedDown(parent string, dir bool) string {
	_, aces, _ := aclParts(parent)
	var b strings.Builder
	for _, a := range aces {
		flags := aceField(a, 1)
		oi, ci := strings.Contains(flags, "OI"), strings.Contains(flags, "CI")
		if dir && !ci && !oi || !dir && !oi {
			continue
		}
		parts := strings.Split(strings.Trim(a, "()"), ";")
		parts[1] = "ID"
		if dir {
			parts[1] = strings.NewReplacer("ID", "", "IO", "").Replace(flags) + "ID"
		}
		b.WriteString("(" + strings.Join(parts, ";") + ")")
	}
	return b.String()
}

// SetACL replaces the discretionary list. Inherited entries in the text are not written: they come
// from the parent, unless the list is protected (P), which keeps exactly what is written.
func SetACL(c *Ctx, path, sddl string) error {
	p, err := c.at(path)
	if err != nil {
		return err
	}
	f := p.get()
	if f == nil {
		return c.HRESULT(errFileNotFound)
	}
	flags, aces, ok := aclParts(sddl)
	if !ok {
		return c.HRESULT(1336) // ERROR_INVALID_ACL
	}
	if p.root {
		return c.HRESULT(errAccessDenied)
	}
	var own []string
	for _, a := range aces {
		if !strings.Contains(aceField(a, 1), "ID") {
			own = append(own, canonicalACE(a))
		}
	}
	protected := strings.Contains(flags, "P")
	f.SDDL = ""
	if protected {
		f.SDDL = "D:PAI" + strings.Join(own, "")
	} else if len(own) > 0 {
		f.SDDL = "D:AI" + strings.Join(own, "")
	}
	return nil
}

// ownACEs are the explicit entries of a file, and whether its list is protected.
func ownACEs(f *model.File) (aces []string, protected bool) {
	flags, aces, _ := aclParts(f.SDDL)
	return aces, strings.Contains(flags, "P")
}

// canonicalACE writes well-known SIDs and rights as Windows gives them back.
func canonicalACE(ace string) string {
	parts := strings.Split(strings.Trim(ace, "()"), ";")
	if alias, ok := sidAliases()[strings.ToUpper(parts[5])]; ok {
		parts[5] = alias
	}
	switch strings.ToUpper(parts[2]) {
	case "0X1F01FF", "GA":
		parts[2] = "FA"
	case "GR":
		parts[2] = "FR"
	case "GW":
		parts[2] = "FW"
	case "GX":
		parts[2] = "FX"
	}
	return "(" + strings.Join(parts, ";") + ")"
}

// sidAliases are the two letters of SDDL for the accounts that every machine has. Source: SID
// strings.
func sidAliases() map[string]string {
	return map[string]string{
		"S-1-5-18": "SY", "S-1-5-19": "LS", "S-1-5-20": "NS", "S-1-5-32-544": "BA", "S-1-5-32-545": "BU",
		"S-1-5-11": "AU", "S-1-1-0": "WD", "S-1-3-0": "CO", "S-1-5-2": "NU", "S-1-5-4": "IU", "S-1-5-7": "AN",
	}
}
