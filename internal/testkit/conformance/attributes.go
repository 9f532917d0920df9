package conformance

import (
	"path"
	"slices"

	"deploy/steps"
)

// attributes are those that the changes of each kind may name, as patterns of path.Match with "/"
// in names taken for a dash. An undo is proved by them alone: they are what the engine compares,
// so each stands for something that the act changes and that can be told again after its undo.
func attributes() map[string][]string {
	account := []string{"uid", "group", "groups", "home", "shell", "comment"}
	access := []string{"mode", "owner", "group"}
	return map[string][]string{
		"cluster.create":            {"cluster", "addresses"},
		"cluster.dependency":        {"* depends on"},
		"cluster.disk":              {"resource", "name", "group"},
		"cluster.group":             {"group", "AutoFailbackType", "Fail*"},
		"cluster.move":              {"owner of *"},
		"cluster.network":           {"name", "role"},
		"cluster.node":              {"member", "state"},
		"cluster.owner":             {"owners of *"},
		"cluster.property":          {"*"}, // the declared properties
		"cluster.quorum":            {"model", "witness"},
		"cluster.resource":          {"*"}, // the declared properties, resource, type, group, state
		"cluster.validation":        {"report"},
		"command":                   {"command"},
		"directory":                 append([]string{"directory", "acl *"}, access...),
		"dns.record":                {"*"}, // the name, and the time to live of each address
		"exchange.cms":              {"clustered mailbox server", "address", "group of disk *", "mark of *"},
		"exchange.databasepath":     {"file"},
		"exchange.install":          {"*"}, // the roles, and the mark of a setup
		"exchange.move":             {"proven on", "owner of *"},
		"exchange.mta":              {"object"},
		"exchange.prepare":          {"* version"},
		"exchange.status":           {"state"},
		"exchange.storagegrouppath": {"log folder", "system folder"},
		"feature":                   {"*"}, // the ids
		"file":                      append([]string{"content", "link"}, access...),
		"gate":                      {"*"}, // the file or value that a person brings about
		"group":                     {"group *", "gid", "members"},
		"mount":                     {"-etc-fstab", "*", "* options"},
		"network.adapter":           {"name"},
		"network.address":           {"dhcp", "addresses", "gateway"},
		"network.binding":           {"order", "metrics"},
		"network.dns":               {"servers", "register"},
		"network.hosts":             {"*"}, // the addresses
		"network.netbios":           {"mode"},
		"package":                   {"*"}, // the setup program
		"packages":                  {"*"}, // the names, "(comes along)" and "(must go too)"
		"probe":                     {"*"},
		"registry":                  {"*"}, // the value, and its type
		"service":                   {"start", "state"},
		"storage.letter":            {"*"}, // it only looks
		"storage.disk":              {"online", "writable", "style"},
		"storage.volume":            {"volume *"},
		"sysctl":                    {"*"}, // the setting, and its file
		"template":                  append([]string{"content"}, access...),
		"user":                      append([]string{"user *"}, account...),
		"xmlsetting":                {"*"}, // element and attribute
	}
}

// wrongAttributes names the changes that an undo could not be proved by: attributes that the kind
// may not name, and those that stand there twice.
func wrongAttributes(kind string, changes []steps.Change) (out []string) {
	allowed, known := attributes()[kind]
	seen := map[string]bool{}
	for _, c := range changes {
		if seen[c.Attr] {
			out = append(out, c.Attr+" is named twice")
		}
		seen[c.Attr] = true
		flat := []rune(c.Attr)
		for i := range flat {
			if flat[i] == '/' {
				flat[i] = '-'
			}
		}
		if known && !slices.ContainsFunc(allowed, func(p string) bool {
			ok, err := path.Match(p, string(flat))
			return err == nil && ok
		}) {
			out = append(out, c.Attr+" is none of the kind's attributes")
		}
	}
	return out
}
