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
		field("env", &shape.Type{Kind: "string", Doc: "name of an environment variable; it must be set and not " +
			"empty", Pattern: `^[A-Za-z_][A-Za-z0-9_]*$`,
			Means: "give the name of an environment variable, not the secret", Hidden: true}),
		field("file", &shape.Type{Kind: "string", Doc: "path of a file, relative to the site file; one trailing line " +
			"end is cut", Hidden: true}),
		field("command", &shape.Type{Kind: "list", Doc: "program and arguments; what it prints is the secret, " +
			"without one trailing line end. It is started without a shell, in the site file's " +
			"directory", MinItems: 1, Hidden: true,
			Of: &shape.Type{Kind: "string", Hidden: true}, Instead: "write a list: [pass, show, deploy]"}),
		field("prompt", &shape.Type{Kind: "string", Doc: "the question to ask on the terminal, without an " +
			"echo", Hidden: true}),
	)
	t.OneKey, t.Instead, t.Hidden = true, passwordHint, true
	t.Refusal = "a secret must not be written in the file"
	return t
}

func credentialType() *shape.Type {
	return shape.Object("how to log on; secrets are named, never written",
		field("username", shape.Text(`'CONTOSO\deploy', deploy@contoso.example or root; needed with a password`)),
		field("password", secretType("reference to the password")),
		field("key_file", shape.Text("SSH private key, relative to the site file; ~/ is your home. A certificate "+
			"beside it (FILE-cert.pub) is used too")),
		field("passphrase", secretType("reference to the key's passphrase")),
		field("agent", shape.Of("boolean", "use the SSH agent")),
	)
}

func winrmType() *shape.Type {
	return shape.Object("WinRM settings",
		field("scheme", shape.Enum("default https; http needs auth: ntlm or kerberos, which seal the "+
			"messages", "https", "http")),
		field("auth", shape.Enum("default ntlm; basic and certificate need https. kerberos is not built in yet and "+
			"says so",
			"ntlm", "basic", "kerberos", "certificate")),
		field("ca", shape.Text("PEM file of the authority that signed the node's certificate; default the system's "+
			"authorities")),
		field("fingerprint", &shape.Type{Kind: "string", Doc: "SHA-256 of the node's certificate, 64 hexadecimal " +
			"digits; colons are allowed. It takes the place of the authority",
			Pattern: `^([0-9A-Fa-f]{2}:?){32}$`,
			Means:   "give 64 hexadecimal digits; colons are allowed"}),
		field("certificate", shape.Text("client certificate (PEM), for auth: certificate")),
		field("key", shape.Text("its private key (PEM)")),
	)
}

func sshType() *shape.Type {
	return shape.Object("SSH settings",
		field("known_hosts", shape.Text("file of known host keys and host authorities; default ~/.ssh/known_hosts, "+
			"then /etc/ssh/ssh_known_hosts")),
		field("fingerprints", shape.ListOf(&shape.Type{Kind: "string", Pattern: `^SHA256:[A-Za-z0-9+/]{43}$`,
			Means: "write it as `ssh-keygen -l` does: SHA256: and 43 characters"}, "accepted host keys, as ssh-keygen "+
			"-l prints them: SHA256:... They take the place of known_hosts")),
		field("accept_new", shape.Of("boolean", "default false; trust the key of a host that is not known yet, and "+
			"write it down. A key that changed is refused all the same")),
		field("config", shape.Text("an ssh_config file to honour: HostName, User, Port, ProxyJump, HostKeyAlias, "+
			"IdentityFile, IdentitiesOnly, UserKnownHostsFile, StrictHostKeyChecking=accept-new, ServerAliveInterval, "+
			"ConnectTimeout. What the site file says wins. ProxyCommand is refused")),
		field("proxy_jump", shape.Text("user@host:port to go through; several with commas. A jump host gets your "+
			"keys and agent, never the password")),
		field("sudo", shape.Of("boolean", "default false; work as root by sudo. The credential's password, if it has "+
			"one, is given to sudo, once; without one, sudo must ask for none")),
		field("keepalive", shape.Of("duration", "time between keep-alive messages; default 15s")),
	)
}

// common are the keys that nodes and their defaults share.
func common() []shape.Field {
	return []shape.Field{
		field("transport", shape.Enum("how to reach the node; default winrm. local is the machine that deploy itself "+
			"runs on: no connection is made, and the lab refuses it", "winrm", "ssh", "local")),
		field("port", number("TCP port; default 5986 (https), 5985 (http), 22 (ssh). A port of defaults is used only "+
			"by nodes of the default transport", 1, 65535)),
		field("credential", shape.Of("credential", "a name of credentials; needed for WinRM, except with auth: "+
			"certificate")),
		field("winrm", winrmType()),
		field("ssh", sshType()),
		field("agent", shape.Enum("whether an agent works on the node; default auto: where one can be placed, and "+
			"the plan says where not and why. always refuses to work without; never places nothing on the "+
			"node", "auto", "never",
			"always")),
		field("timeout", shape.Of("duration", "time to be connected and logged on; default 30s")),
	}
}

func nodeType() *shape.Type {
	return shape.Object("one machine", append([]shape.Field{
		field("name", shape.Need(shape.Of("hostname", "the machine's computer name. No two alike; upper and lower "+
			"case do not count"))),
		field("address", shape.Of("address", "IP address or host name; default the name. Two nodes may not share "+
			"address and port")),
		field("roles", &shape.Type{Kind: "list", Of: shape.Text(""), Unique: "true", Doc: "roles that the playbook " +
			"declares"}),
		field("parameters", shape.MapOf(shape.Of("any", ""), "the playbook's node parameters")),
		field("shared", shape.Of("boolean", "other sites work on this node too, as they do on a domain controller; "+
			"each of them must say so")),
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
		field("name", shape.Text("connection name as delivered; default that of the locale")),
		field("mac", shape.Of("mac", "address of the card; default one that is made up")),
		field("address", shape.Of("cidr", "address and prefix length; without it the card asks DHCP, and gets "+
			"169.254.x.y")),
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
		field("serial", shape.Need(shape.Text("serial number; no two alike"))),
		field("size", shape.Need(shape.Of("size", "size: 10 GB"))),
		field("nodes", &shape.Type{Kind: "list", Of: shape.Of("node", ""), Unique: "true",
			Doc: "nodes that see it; default every cluster node"}),
	)
	return shape.Object("the machines as delivered, for the emulated lab; real runs do not read it",
		field("os", osType("release of every machine; default '2008'. Put numbers in quotes")),
		field("locale", shape.Enum("language of display names and messages; default en", "en", "fr", "de", "ja")),
		field("domain", shape.Of("domain", "DNS name of the domain")),
		field("machines", &shape.Type{Kind: "map", Of: machine, KeyKind: "node", Doc: "single machines, by node name"}),
		field("disks", &shape.Type{Kind: "list", Of: disk, Unique: "serial", Doc: "the shared storage"}),
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
			Doc: "name of the site: letters, digits, dots, hyphens and underscores, at most 63. It names the state " +
				"directory",
			Means: "use letters, digits, dots, hyphens and underscores"})),
		field("playbook", shape.Need(shape.Text("a shipped playbook (exchange-2007-scc, linux-baseline), or a file: "+
			"./mine.yaml. What has a slash or ends in .yaml or .yml is a file, relative to the site file"))),
		field("credentials", &shape.Type{Kind: "map", Of: credentialType(), Doc: "how to log on, by name"}),
		field("inventory", shape.Need(shape.Object("the machines",
			field("defaults", shape.Object("settings for every node that does not have its own; inside winrm and ssh "+
				"this goes key by key", common()...)),
			field("nodes", shape.Need(&shape.Type{Kind: "list", Of: nodeType(), MinItems: 1, Unique: "name",
				Doc: "the machines"})),
		))),
		field("agents", agentsType()),
		field("parameters", parameters),
		field("lab", labType()),
	)
}

func anyParameters() *shape.Type {
	return shape.MapOf(shape.Of("any", ""), "what the playbook asks for")
}
