package session

import "deploy/internal/node"

// WindowsFacts makes facts of the row with which a Windows machine answers the verb facts.
func WindowsFacts(r node.Row) node.Facts {
	f := node.Facts{
		OS: "windows", Version: r.String("version"), Build: int(r.Int("build")), ServicePack: int(r.Int("sp")),
		Arch: r.String("arch"), Computer: r.String("computer"), Domain: r.String("domain"),
		DomainRole: int(r.Int("domain_role")),
		BootID:     node.BootID(r.String("boot_id")), PowerShell: r.String("powershell"),
		UILanguage: int(r.Int("ui_language")),
		Privileged: r.Bool("privileged"),
	}
	f.Release = node.ReleaseOf(f.Version, f.Build)
	return f
}
