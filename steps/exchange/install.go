package exchange

// Install installs Exchange 2007 server roles on the node.
type Install struct {
	Roles     []string `json:"roles" doc:"roles: Mailbox, HubTransport, ClientAccess, UnifiedMessaging, ManagementTools; on a node of a failover cluster only Mailbox" required:"true"`
	Setup     string   `json:"setup" doc:"path of setup.com on the node, on a local disk" required:"true" example:"D:\\Exchange\\setup.com"`
	TargetDir string   `json:"target_dir" doc:"folder to install into; setup's default when empty"`
	As        string   `json:"as" doc:"credential of the site: Exchange organisation administrator and local administrator" required:"true" example:"admin"`
}
