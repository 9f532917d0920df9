package inventory

import (
	"fmt"
	"strings"
	"time"

	"deploy/internal/yamlx"
	"deploy/internal/yamlx/shape"
)

func (r *reader) nodes(site *Site, inv map[string]any, tree *yamlx.Node) {
	if r.list.Len() > 0 {
		return // what follows would only repeat it in other words
	}
	defaults := object(inv, "defaults")
	items := tree.Get("nodes")
	addresses := map[string]string{}
	for i, v := range listOf(inv, "nodes") {
		n := makeNode(asMap(v), defaults)
		at := items.Items[i]
		r.node(site, n, at)
		endpoint := fmt.Sprintf("%s:%d", strings.ToLower(n.Address), n.Port)
		if n.Transport != "local" {
			if other, ok := addresses[endpoint]; ok {
				r.list.At(r.file, orSelf(at, "address"), "give each node its own address, or its own port",
					"node %q has the address of node %q", n.Name, other)
			}
			addresses[endpoint] = n.Name
		}
		site.Nodes = append(site.Nodes, n)
	}
}

func orSelf(n *yamlx.Node, key string) *yamlx.Node {
	if v := n.Get(key); !v.IsNull() {
		return v
	}
	return n
}

func makeNode(m, defaults map[string]any) Node {
	either := func(key string) string {
		if s := text(m, key); s != "" {
			return s
		}
		return text(defaults, key)
	}
	n := Node{
		Name: text(m, "name"), Address: text(m, "address"), Transport: either("transport"), Port: whole(m, "port"),
		Credential: either("credential"),
		Roles:      texts(m, "roles"), Parameters: object(m, "parameters"), Agent: either("agent"),
		Shared: truth(m, "shared"), Timeout: span(either("timeout")),
	}
	if n.Address == "" {
		n.Address = n.Name
	}
	usual := text(defaults, "transport")
	if usual == "" {
		usual = "winrm"
	}
	if n.Transport == "" {
		n.Transport = "winrm"
	}
	// a default port belongs to the default transport
	if n.Port == 0 && n.Transport == usual {
		n.Port = whole(defaults, "port")
	}
	if n.Agent == "" {
		n.Agent = "auto"
	}
	n.WinRM = makeWinRM(overlay(object(defaults, "winrm"), object(m, "winrm")))
	n.SSH = makeSSH(overlay(object(defaults, "ssh"), object(m, "ssh")))
	return n
}

// overlay lays a node's own settings over the defaults, key by key.
func overlay(under, over map[string]any) map[string]any {
	out := map[string]any{}
	for _, m := range []map[string]any{under, over} {
		for k, v := range m {
			if list, ok := v.([]any); ok && len(list) == 0 {
				continue
			}
			if v != nil {
				out[k] = v
			}
		}
	}
	return out
}

func makeWinRM(m map[string]any) WinRM {
	w := WinRM{Scheme: text(m, "scheme"), Auth: text(m, "auth"), CA: text(m, "ca"), Certificate: text(m, "certificate"),
		Key:         text(m, "key"),
		Fingerprint: strings.ToLower(strings.ReplaceAll(text(m, "fingerprint"), ":", ""))}
	if w.Scheme == "" {
		w.Scheme = "https"
	}
	if w.Auth == "" {
		w.Auth = "ntlm"
	}
	return w
}

func makeSSH(m map[string]any) SSH {
	return SSH{KnownHosts: text(m, "known_hosts"), Fingerprints: texts(m, "fingerprints"),
		AcceptNew: truth(m, "accept_new"), Config: text(m, "config"),
		ProxyJump: text(m, "proxy_jump"), Sudo: truth(m, "sudo"), KeepAlive: span(text(m, "keepalive"))}
}

func span(s string) time.Duration {
	d, _ := time.ParseDuration(s) // the shape has checked it
	return d
}

// node checks what one key alone cannot tell.
func (r *reader) node(site *Site, n Node, at *yamlx.Node) {
	cred, known := site.Credentials[n.Credential]
	switch n.Transport {
	case "winrm":
		r.winrm(n, cred, known, at)
	case "ssh":
		if known && !cred.Agent && cred.KeyFile == "" && cred.Password.IsZero() {
			r.list.AtKey(r.file, r.root.Get("credentials").Get(n.Credential), "give it password, key_file or agent: true",
				"credential %q has no password, key_file or agent", n.Credential)
		}
	}
	if len(n.Name) > 15 && n.Transport == "winrm" {
		r.warn(at.Get("name"), "Windows cuts computer names at 15 characters (NetBIOS)", "the name %q has %d characters",
			n.Name, len(n.Name))
	}
}

func (r *reader) winrm(n Node, cred Credential, known bool, at *yamlx.Node) {
	if n.WinRM.Auth == "certificate" {
		if n.WinRM.Certificate == "" || n.WinRM.Key == "" {
			r.list.At(r.file, orSelf(at, "winrm"), "give winrm.certificate and winrm.key",
				"node %q logs on with a certificate but names none", n.Name)
		}
	} else {
		switch {
		case n.Credential == "":
			r.list.At(r.file, at, "write credential: NAME here or under inventory.defaults, and declare NAME under credentials",
				"node %q has no credential", n.Name)
		case known && (cred.Username == "" || cred.Password.IsZero()):
			r.list.AtKey(r.file, r.root.Get("credentials").Get(n.Credential),
				"give it username and password: {env: DEPLOY_PASSWORD}",
				"credential %q has no user name and password, which WinRM needs", n.Credential)
		}
	}
	if n.WinRM.Scheme == "http" && (n.WinRM.Auth == "basic" || n.WinRM.Auth == "certificate") {
		r.list.At(r.file, orSelf(at, "winrm"), "use scheme: https, or auth: ntlm, which seals the messages",
			"node %q would send everything unencrypted (%s over http)", n.Name, n.WinRM.Auth)
	}
	if n.Port == 5985 && n.WinRM.Scheme == "https" || n.Port == 5986 && n.WinRM.Scheme == "http" {
		r.warn(orSelf(at, "port"), "5986 is the usual port for https and 5985 for http", "node %q has port %d with %s",
			n.Name, n.Port, n.WinRM.Scheme)
	}
}

func (r *reader) warn(n *yamlx.Node, hint, format string, args ...any) {
	line, col := n.Pos()
	r.warnings = append(r.warnings, &yamlx.Error{File: r.file, Line: line, Col: col, Msg: fmt.Sprintf(format, args...),
		Hint: hint})
}

func (r *reader) lab(site *Site, m map[string]any) {
	lab := Lab{OS: text(m, "os"), Locale: text(m, "locale"), Domain: text(m, "domain"), Machines: map[string]LabMachine{},
		Faults: texts(m, "faults")}
	if lab.OS == "" {
		lab.OS = "2008"
	}
	if lab.Locale == "" {
		lab.Locale = "en"
	}
	for name, v := range object(m, "machines") {
		mm := asMap(v)
		machine := LabMachine{OS: text(mm, "os"), Media: texts(mm, "media"), DC: truth(mm, "dc")}
		for _, a := range listOf(mm, "adapters") {
			am := asMap(a)
			machine.Adapters = append(machine.Adapters,
				LabAdapter{Name: text(am, "name"), MAC: text(am, "mac"), Address: text(am, "address"), Team: truth(am, "team")})
		}
		lab.Machines[name] = machine
	}
	for _, d := range listOf(m, "disks") {
		dm := asMap(d)
		lab.Disks = append(lab.Disks, LabDisk{Serial: text(dm, "serial"), SizeMB: int64(whole(dm, "size")),
			Nodes: texts(dm, "nodes")})
	}
	site.Lab = lab
}

// Schema is the JSON Schema (draft 2020-12) of a site file for any playbook.
func Schema() map[string]any { return schema(anyParameters()) }

// SchemaFor is Schema with the parameters of one playbook, as a declared type.
func SchemaFor(parameters *shape.Type, nodeParameters *shape.Type) map[string]any {
	t := siteType(parameters)
	t.Field("agents").Field("fetch").Pattern = fetchPattern // the check has better words for what is wrong
	for i, f := range t.Field("inventory").Field("nodes").Of.Fields {
		if f.Name == "parameters" && nodeParameters != nil {
			t.Field("inventory").Field("nodes").Of.Fields[i].Type = nodeParameters
		}
	}
	return shape.Schema(t, "deploy:site", "deploy site file")
}

func schema(parameters *shape.Type) map[string]any { return SchemaFor(parameters, nil) }
