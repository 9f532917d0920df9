package lab

import (
	"strings"

	"golang.org/x/crypto/ssh"

	"deploy/internal/lab/model"
	"deploy/internal/secret"
)

// Account is one who may log on to every machine of the lab, as an administrator.
type Account struct {
	User     string // DOMAIN\name, name@domain or name
	Password secret.Value
	Key      ssh.PublicKey // for SSH; nil when none is accepted
}

// accounts finds accounts by the names that clients give. It is not changed once made.
type accounts struct {
	list    []Account
	netbios string // of the forest; "" without one
	dns     string
}

func newAccounts(list []Account, w *model.World) accounts {
	a := accounts{list: list}
	if w.Forest != nil {
		a.netbios, a.dns = w.Forest.NetBIOS, w.Forest.Domain
	}
	return a
}

// split takes a name apart: DOMAIN\user, user@domain, or user.
func split(name string) (user, domain string) {
	if d, u, ok := strings.Cut(name, `\`); ok {
		return u, d
	}
	if i := strings.LastIndexByte(name, '@'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return name, ""
}

// same says whether two domain names mean the same. No domain means whatever the other one is: a
// client may leave it out.
func (a accounts) same(x, y string) bool {
	if x == "." {
		x = ""
	}
	if x == "" || y == "" || strings.EqualFold(x, y) {
		return true
	}
	ours := func(d string) bool {
		return d != "" && (strings.EqualFold(d, a.netbios) || strings.EqualFold(d, a.dns))
	}
	return ours(x) && ours(y)
}

// find looks an account up; names are compared without case. full is its name as DOMAIN\name.
func (a accounts) find(user, domain string) (acc Account, full string, ok bool) {
	if domain == "" {
		user, domain = split(user)
	}
	for _, acc := range a.list {
		u, d := split(acc.User)
		if u == "" || !strings.EqualFold(u, user) || !a.same(domain, d) {
			continue
		}
		if d == "" || strings.EqualFold(d, a.dns) {
			d = a.netbios
		}
		if d == "" {
			return acc, u, true
		}
		return acc, strings.ToUpper(d) + `\` + u, true
	}
	return Account{}, "", false
}

// check is Ctx.Logon: a name with its password.
func (a accounts) check(user, password string) bool {
	acc, _, ok := a.find(user, "")
	return ok && !acc.Password.IsZero() && acc.Password.Reveal() == password
}
