package inventory

import "deploy/internal/yamlx/shape"

func field(name string, t *shape.Type) shape.Field { return shape.Field{Name: name, Type: t} }

func number(doc string, low, high float64) *shape.Type {
	return &shape.Type{Kind: "integer", Doc: doc, Min: &low, Max: &high}
}

const passwordHint = "write a reference: {env: DEPLOY_PASSWORD}, {file: path}, {command: [program, " +
	"argument]} or {prompt: question}"

func secretType(doc string) *shape.Type {
	t := shape.Object(doc,
		field("env", &shape.Type{Kind: "string", Doc: "name of an environment variable", Pattern: `^[A-Za-z_][A-Za-z0-9_]*$`,
			Means: "give the name of an environment variable, not the secret", Hidden: true}),
		field("file", &shape.Type{Kind: "string", Doc: "path of a file, relative to the site file; one trailing line end " +
			"is cut", Hidden: true}),
		field("command", &shape.Type{Kind: "list", Doc: "program and arguments; what it prints is the secret", MinItems: 1,
			Hidden: true,
			Of:     &shape.Type{Kind: "string", Hidden: true}, Instead: "write a list: [pass, show, deploy]"}),
		field("prompt", &shape.Type{Kind: "string", Doc: "the question to ask on the terminal", Hidden: true}),
	)
	t.OneKey, t.Instead, t.Hidden = true, passwordHint, true
	t.Refusal = "a secret must not be written in the file"
	return t
}

func credentialType() *shape.Type {
	return shape.Object("how to log on; secrets are named, never written",
		field("username", shape.Text(`user name: 'CONTOSO\deploy', deploy@contoso.example or root`)),
		field("password", secretType("reference to the password")),
		field("key_file", shape.Text("SSH private key, relative to the site file")),
		field("passphrase", secretType("reference to the key's passphrase")),
		field("agent", shape.Of("boolean", "use the SSH agent")),
	)
}

func winrmType() *shape.Type {
	return shape.Object("WinRM settings",
		field("scheme", shape.Enum("https (default), or http, which needs ntlm or kerberos to seal the messages", "https",
			"http")),
		field("auth", shape.Enum("ntlm is the default", "ntlm", "basic", "kerberos", "certificate")),
		field("ca", shape.Text("PEM file of the authority that signed the node's certificate, relative to the site file")),
		field("fingerprint", &shape.Type{Kind: "string", Doc: "SHA-256 of the node's certificate in hexadecimal",
			Pattern: `^([0-9A-Fa-f]{2}:?){32}$`,
			Means:   "give 64 hexadecimal digits; colons are allowed"}),
		field("certificate", shape.Text("client certificate (PEM) for auth: certificate")),
		field("key", shape.Text("its private key (PEM)")),
	)
}

func sshType() *shape.Type {
	return shape.Object("SSH settings",
		field("known_hosts", shape.Text("known_hosts file; default ~/.ssh/known_hosts")),
		field("fingerprints", shape.ListOf(&shape.Type{Kind: "string", Pattern: `^SHA256:[A-Za-z0-9+/]{43}$`,
			Means: "write it as `ssh-keygen -l` does: SHA256: and 43 characters"}, "fingerprints of the host's keys")),
		field("accept_new", shape.Of("boolean", "trust the key of a host that is not known yet and remember it")),
		field("config", shape.Text("ssh_config file")),
		field("proxy_jump", shape.Text("user@host:port to go through")),
		field("sudo", shape.Of("boolean", "work as root by sudo; the credential's password, if it has one, is given to "+
			"sudo and to nothing else than the logon")),
		field("keepalive", shape.Of("duration", "time between keep-alive messages")),
	)
}

// common are the keys that nodes and their defaults share.
func common() []shape.Field {
	return []shape.Field{
		field("transport", shape.Enum("how to reach the node; winrm is the default", "winrm", "ssh", "local")),
		field("port", number("TCP port; default 5986 or 5985 for winrm, 22 for ssh", 1, 65535)),
		field("credential", shape.Of("credential", "name of a credential of the site")),
		field("winrm", winrmType()),
		field("ssh", sshType()),
		field("agent", shape.Enum("whether to work with an agent beside the node; auto is the default", "auto", "never",
			"always")),
		field("timeout", shape.Of("duration", "how long to wait for the node's answer")),
	}
}

func nodeType() *shape.Type {
	return shape.Object("one machine", append([]shape.Field{
		field("name", shape.Need(shape.Of("hostname", "the machine's computer name"))),
		field("address", shape.Of("address", "IP address or host name; default is the name")),
		field("roles", &shape.Type{Kind: "list", Of: shape.Text(""), Unique: "true", Doc: "roles of the playbook"}),
		field("parameters", shape.MapOf(shape.Of("any", ""), "the playbook's node parameters")),
		field("shared", shape.Of("boolean", "other sites work on this node too, as they do on a domain controller; each of "+
			"them must say so")),
	}, common()...)...)
}

// releases are those of package node, which this package does not need otherwise; a test compares
// them.
func releases() []string {
	return []string{"2003", "2008", "2008r2", "2012", "2012r2", "2016", "2019", "2022", "2025", "linux"}
}

func osType(doc string) *shape.Type {
	t := shape.Enum(doc, releases()...)
	t.Instead = "put the release in quotes: os: '2008'"
	return t
}

func labType() *shape.Type {
	adapter := shape.Object("one network card",
		field("name", shape.Text("connection name as delivered; default is that of the locale")),
		field("mac", shape.Of("mac", "address of the card; generated by default")),
		field("address", shape.Of("cidr", "address and prefix length; without it the card asks DHCP")),
		field("team", shape.Of("boolean", "the card is a team of cards")),
	)
	machine := shape.Object("one machine as delivered",
		field("os", osType("release of this machine")),
		field("adapters", shape.ListOf(adapter, "network cards, in order")),
		field("media", shape.ListOf(&shape.Type{Kind: "string", Pattern: `^[A-Za-z0-9._-]+=.+$`,
			Means: `write product=path: exchange-2007-sp1=D:\Exchange`},
			`product media on its disk: exchange-2007-sp1=D:\Exchange`)),
		field("dc", shape.Of("boolean", "the machine is a domain controller with DNS")),
	)
	disk := shape.Object("one disk of the shared storage",
		field("serial", shape.Need(shape.Text("serial number"))),
		field("size", shape.Need(shape.Of("size", "size: 10 GB"))),
		field("nodes", &shape.Type{Kind: "list", Of: shape.Of("node", ""), Unique: "true",
			Doc: "nodes that see it; default every cluster node"}),
	)
	return shape.Object("the machines as delivered, for the emulated lab; real runs do not read it",
		field("os", osType("release of every machine; default 2008")),
		field("locale", shape.Enum("language of display names; default en", "en", "fr", "de", "ja")),
		field("domain", shape.Of("domain", "DNS name of the domain")),
		field("machines", &shape.Type{Kind: "map", Of: machine, KeyKind: "node", Doc: "machines by node name"}),
		field("disks", &shape.Type{Kind: "list", Of: disk, Unique: "serial", Doc: "disks of the shared storage"}),
		field("faults", shape.ListOf(shape.Text(""), "faults to inject; `deploy lab faults` lists them")),
	)
}

// fetchPattern is an address that every shell and program reads as it stands.
const fetchPattern = `^https://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/?$`

func agentsType() *shape.Type {
	return shape.Object("the programs of the agents that work beside the nodes",
		field("fetch", &shape.Type{Kind: "string", Hidden: true,
			Doc: "address from which nodes may fetch the agent's program, https://HOST/DIRECTORY/; without it deploy " +
				"uploads the agent"}),
	)
}

// siteType declares the whole file.
func siteType(parameters *shape.Type) *shape.Type {
	return shape.Object("",
		field("site", shape.Need(&shape.Type{Kind: "string", Pattern: `^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`,
			Doc:   "name of the site",
			Means: "use letters, digits, dots, hyphens and underscores"})),
		field("playbook", shape.Need(shape.Text("a shipped playbook, or the path of one, relative to the site file"))),
		field("credentials", &shape.Type{Kind: "map", Of: credentialType(), Doc: "how to log on, by name"}),
		field("inventory", shape.Need(shape.Object("the machines",
			field("defaults", shape.Object("settings for every node that does not have its own", common()...)),
			field("nodes", shape.Need(&shape.Type{Kind: "list", Of: nodeType(), MinItems: 1, Unique: "name",
				Doc: "the machines"})),
		))),
		field("agents", agentsType()),
		field("parameters", parameters),
		field("lab", labType()),
	)
}

func anyParameters() *shape.Type {
	return shape.MapOf(shape.Of("any", ""), "parameters of the playbook")
}
