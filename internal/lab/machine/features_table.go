package machine

import "deploy/internal/node"

// featureKind is what a feature is called in Server Manager.
type featureKind int

const (
	aFeature featureKind = iota
	aRole
	aRoleService
)

// feature is one role, role service or feature of Server Manager by its id. Ids are the same in
// every language. Source: windows.md 8.1 and 8.2, exchange.md A2 and F1, Server Manager's technical
// overview appendix (2008, 2008 R2) and the lists of Get-WindowsFeature. The set is a part of each
// release's: what a playbook installs, and what that needs.
type feature struct {
	id, parent   string
	kind         featureKind
	needs        []string // installed with it
	byDefault    bool     // comes when its parent is installed without all sub-features
	since, until node.Release
	builtin      node.Release // installed on a fresh machine from this release on
	restart      node.Release // installing it asks for a restart from this release on
	restartUntil node.Release // and no longer after this one
	tools        []string     // management tools of 2012 and later (-IncludeManagementTools)
	display      [4]string
}

func (f feature) on(r node.Release) bool {
	return (f.since == "" || r.AtLeast(f.since)) && (f.until == "" || r == f.until || !r.AtLeast(f.until))
}

func (f feature) restarts(r node.Release) bool {
	return f.restart != "" && r.AtLeast(f.restart) &&
		(f.restartUntil == "" || r == f.restartUntil || !r.AtLeast(f.restartUntil))
}

// features are all that the lab knows; 2003 has none.
func features() []feature {
	const v08, r2, v12, v16 = node.WS2008, node.WS2008R2, node.WS2012, node.WS2016
	list := []feature{
		{id: "AD-Domain-Services", kind: aRole, restart: v08, tools: []string{"RSAT-ADDS", "RSAT-AD-PowerShell"},
			display: [4]string{"Active Directory Domain Services", "Services de domaine Active Directory",
				"Active Directory-Domänendienste", "Active Directory ドメイン サービス"}},
		{id: "DNS", kind: aRole, tools: []string{"RSAT-DNS-Server"},
			display: [4]string{"DNS Server", "Serveur DNS", "DNS-Server", "DNS サーバー"}},
		{id: "DHCP", kind: aRole, display: [4]string{"DHCP Server", "Serveur DHCP", "DHCP-Server", "DHCP サーバー"}},
		{id: "ADLDS", kind: aRole, display: [4]string{"Active Directory Lightweight Directory Services",
			"Services AD LDS (Active Directory Lightweight Directory Services)",
			"Active Directory Lightweight Directory Services", "Active Directory ライトウェイト ディレクトリ サービス"}},
		{id: "File-Services", kind: aRole, until: r2,
			display: [4]string{"File Services", "Services de fichiers", "Dateidienste", "ファイル サービス"}},
		{id: "FS-FileServer", parent: "File-Services", kind: aRoleService, byDefault: true, until: r2,
			display: [4]string{"File Server", "Serveur de fichiers", "Dateiserver", "ファイル サーバー"}},
		{id: "FileAndStorage-Services", kind: aRole, since: v12, builtin: v12,
			display: [4]string{"File and Storage Services", "Services de fichiers et de stockage", "Datei-/Speicherdienste",
				"ファイル サービスと記憶域サービス"}},
		{id: "File-Services", parent: "FileAndStorage-Services", kind: aRoleService, since: v12,
			display: [4]string{"File and iSCSI Services", "Services de fichiers et iSCSI", "Datei- und iSCSI-Dienste",
				"ファイル サービスおよび iSCSI サービス"}},
		{id: "FS-FileServer", parent: "File-Services", kind: aRoleService, byDefault: true, since: v12,
			display: [4]string{"File Server", "Serveur de fichiers", "Dateiserver", "ファイル サーバー"}},
		{id: "Storage-Services", parent: "FileAndStorage-Services", kind: aRoleService, since: v12, builtin: v12,
			display: [4]string{"Storage Services", "Services de stockage", "Speicherdienste", "記憶域サービス"}},

		{id: "Failover-Clustering", restart: v16, tools: []string{"RSAT-Clustering-Mgmt", "RSAT-Clustering-PowerShell"},
			display: [4]string{"Failover Clustering", "Clustering avec basculement", "Failoverclustering", "フェールオーバー クラスタリング"}},
		{id: "PowerShell", until: node.WS2008, builtin: v08, display: [4]string{"Windows PowerShell"}},
		{id: "PowerShell-ISE", since: r2, display: [4]string{"Windows PowerShell Integrated Scripting Environment (ISE)"}},
		{id: "NET-Framework", until: r2, display: [4]string{".NET Framework 3.0 Features", "Fonctionnalités de .NET " +
			"Framework 3.0", ".NET Framework 3.0-Features", ".NET Framework 3.0 の機能"}},
		{id: "NET-Framework-Core", parent: "NET-Framework", byDefault: true, until: r2,
			display: [4]string{".NET Framework 3.0"}},
		{id: "NET-Win-CFAC", parent: "NET-Framework", until: r2, needs: []string{"WAS-NET-Environment"},
			display: [4]string{"WCF Activation"}},
		{id: "NET-Framework-Features", since: v12, display: [4]string{".NET Framework 3.5 Features"}},
		{id: "NET-Framework-Core", parent: "NET-Framework-Features", byDefault: true, since: v12,
			display: [4]string{".NET Framework 3.5 (includes .NET 2.0 and 3.0)"}},
		{id: "NET-Framework-45-Features", since: v12, builtin: v12, display: [4]string{".NET Framework 4.5 Features"}},
		{id: "NET-Framework-45-Core", parent: "NET-Framework-45-Features", since: v12, builtin: v12,
			display: [4]string{".NET Framework 4.5"}},
		{id: "NET-Framework-45-ASPNET", parent: "NET-Framework-45-Features", since: v12, display: [4]string{"ASP.NET 4.5"}},
		{id: "NET-WCF-Services45", parent: "NET-Framework-45-Features", since: v12, builtin: v12,
			display: [4]string{"WCF Services"}},
		{id: "NET-WCF-TCP-PortSharing45", parent: "NET-WCF-Services45", since: v12, builtin: v12,
			display: [4]string{"TCP Port Sharing"}},
		{id: "NET-WCF-HTTP-Activation45", parent: "NET-WCF-Services45", since: v12,
			needs:   []string{"NET-Framework-45-ASPNET", "Web-Asp-Net45", "WAS-Process-Model", "WAS-Config-APIs"},
			display: [4]string{"HTTP Activation"}},
		{id: "NET-WCF-TCP-Activation45", parent: "NET-WCF-Services45", since: v12,
			needs:   []string{"NET-WCF-TCP-PortSharing45", "WAS-Process-Model", "WAS-Config-APIs"},
			display: [4]string{"TCP Activation"}},
		{id: "NET-WCF-Pipe-Activation45", parent: "NET-WCF-Services45", since: v12,
			needs: []string{"WAS-Process-Model", "WAS-Config-APIs"}, display: [4]string{"Named Pipe Activation"}},
		{id: "NET-WCF-MSMQ-Activation45", parent: "NET-WCF-Services45", since: v12,
			needs:   []string{"WAS-Process-Model", "WAS-Config-APIs", "MSMQ-Server"},
			display: [4]string{"Message Queuing (MSMQ) Activation"}},
		{id: "Server-Media-Foundation", since: v12, restart: v12, display: [4]string{"Media Foundation"}},
		{id: "Windows-Identity-Foundation", since: v12, display: [4]string{"Windows Identity Foundation 3.5"}},
		{id: "MSMQ", display: [4]string{"Message Queuing"}},
		{id: "MSMQ-Services", parent: "MSMQ", byDefault: true, display: [4]string{"Message Queuing Services"}},
		{id: "MSMQ-Server", parent: "MSMQ-Services", byDefault: true, display: [4]string{"Message Queuing Server"}},
		{id: "Desktop-Experience", until: node.WS2012R2, restart: v08,
			display: [4]string{"Desktop Experience", "Expérience utilisateur", "Desktopdarstellung", "デスクトップ エクスペリエンス"}},
		{id: "Multipath-IO", restart: r2, display: [4]string{"Multipath I/O", "MPIO (Multipath I/O)", "Multipfad-E/A",
			"マルチパス I/O"}},
		{id: "NLB", display: [4]string{"Network Load Balancing"}},
		{id: "RPC-over-HTTP-Proxy", needs: []string{"Web-Server"}, display: [4]string{"RPC over HTTP Proxy"}},
		{id: "SMTP-Server", needs: []string{"Web-Metabase", "Web-Lgcy-Mgmt-Console"},
			display: [4]string{"SMTP Server", "Serveur SMTP", "SMTP-Server", "SMTP サーバー"}},
		{id: "Telnet-Client", display: [4]string{"Telnet Client", "Client Telnet", "Telnet-Client", "Telnet クライアント"}},
		{id: "Backup-Features", until: r2, display: [4]string{"Windows Server Backup Features"}},
		{id: "Backup", parent: "Backup-Features", byDefault: true, until: r2, display: [4]string{"Windows Server Backup"}},
		{id: "Windows-Server-Backup", since: v12, display: [4]string{"Windows Server Backup"}},

		{id: "WAS", display: [4]string{"Windows Process Activation Service"}},
		{id: "WAS-Process-Model", parent: "WAS", byDefault: true, display: [4]string{"Process Model"}},
		{id: "WAS-NET-Environment", parent: "WAS", display: [4]string{".NET Environment"}},
		{id: "WAS-Config-APIs", parent: "WAS", byDefault: true, display: [4]string{"Configuration APIs"}},

		{id: "RSAT", display: [4]string{"Remote Server Administration Tools", "Outils d’administration de serveur distant",
			"Remoteserver-Verwaltungstools", "リモート サーバー管理ツール"}},
		{id: "RSAT-Role-Tools", parent: "RSAT", display: [4]string{"Role Administration Tools"}},
		{id: "RSAT-Feature-Tools", parent: "RSAT", display: [4]string{"Feature Administration Tools"}},
		// 2008 asks for a restart (exchange.md A2)
		{id: "RSAT-ADDS", parent: "RSAT-Role-Tools", until: node.WS2008, restart: v08, restartUntil: node.WS2008,
			display: [4]string{"Active Directory Domain Services Tools"}},
		{id: "RSAT-ADDC", parent: "RSAT-ADDS", byDefault: true, until: node.WS2008,
			display: [4]string{"Active Directory Domain Controller Tools"}},
		{id: "RSAT-SNIS", parent: "RSAT-ADDS", byDefault: true, until: node.WS2008,
			display: [4]string{"Server for NIS Tools"}},
		{id: "RSAT-AD-Tools", parent: "RSAT-Role-Tools", since: r2, display: [4]string{"AD DS and AD LDS Tools"}},
		{id: "RSAT-ADDS", parent: "RSAT-AD-Tools", since: r2, restart: r2, restartUntil: r2,
			display: [4]string{"AD DS Tools"}},
		{id: "RSAT-ADDS-Tools", parent: "RSAT-ADDS", byDefault: true, since: r2,
			display: [4]string{"AD DS Snap-Ins and Command-Line Tools"}},
		{id: "RSAT-AD-AdminCenter", parent: "RSAT-ADDS", byDefault: true, since: r2, needs: []string{"RSAT-AD-PowerShell"},
			display: [4]string{"Active Directory Administrative Center"}},
		{id: "RSAT-AD-PowerShell", parent: "RSAT-AD-Tools", since: r2,
			display: [4]string{"Active Directory module for Windows PowerShell"}},
		{id: "RSAT-ADLDS", parent: "RSAT-AD-Tools", since: r2, display: [4]string{"AD LDS Snap-Ins and Command-Line Tools"}},
		{id: "RSAT-DNS-Server", parent: "RSAT-Role-Tools", since: v12, display: [4]string{"DNS Server Tools"}},
		{id: "RSAT-DNS", parent: "RSAT-Role-Tools", until: r2, display: [4]string{"DNS Server Tools"}},
		{id: "RSAT-Clustering", parent: "RSAT-Feature-Tools",
			display: [4]string{"Failover Clustering Tools", "Outils de clustering avec basculement", "Failoverclustering-Tools",
				"フェールオーバー クラスタリング ツール"}},
		{id: "RSAT-Clustering-Mgmt", parent: "RSAT-Clustering", byDefault: true, since: v12,
			display: [4]string{"Failover Cluster Management Tools"}},
		{id: "RSAT-Clustering-PowerShell", parent: "RSAT-Clustering", byDefault: true, since: v12,
			display: [4]string{"Failover Cluster Module for Windows PowerShell"}},
		{id: "RSAT-Clustering-AutomationServer", parent: "RSAT-Clustering", since: v12,
			display: [4]string{"Failover Cluster Automation Server"}},
		{id: "RSAT-Clustering-CmdInterface", parent: "RSAT-Clustering", since: v12,
			display: [4]string{"Failover Cluster Command Interface"}},
	}
	return append(list, webFeatures()...)
}

// webFeatures are the role Web Server (IIS) with its role services.
func webFeatures() []feature {
	const r2, v12 = node.WS2008R2, node.WS2012
	service := func(id, parent string, byDefault bool, needs ...string) feature {
		return feature{id: id, parent: parent, kind: aRoleService, byDefault: byDefault, needs: needs, display: [4]string{id}}
	}
	upTo := func(f feature, r node.Release) feature { f.until = r; return f }
	from := func(f feature, r node.Release) feature { f.since = r; return f }
	return []feature{
		{id: "Web-Server", kind: aRole, needs: []string{"WAS-Process-Model", "WAS-Config-APIs"},
			tools: []string{"Web-Mgmt-Console"}, display: [4]string{"Web Server (IIS)", "Serveur Web (IIS)", "Webserver (IIS)",
				"Web サーバー (IIS)"}},
		service("Web-WebServer", "Web-Server", true),
		service("Web-Common-Http", "Web-WebServer", true),
		service("Web-Static-Content", "Web-Common-Http", true),
		service("Web-Default-Doc", "Web-Common-Http", true),
		service("Web-Dir-Browsing", "Web-Common-Http", true),
		service("Web-Http-Errors", "Web-Common-Http", true),
		service("Web-Http-Redirect", "Web-Common-Http", false),
		service("Web-App-Dev", "Web-WebServer", false),
		service("Web-Asp-Net", "Web-App-Dev", false, "Web-ISAPI-Ext", "Web-ISAPI-Filter", "Web-Net-Ext", "Web-Default-Doc"),
		service("Web-Net-Ext", "Web-App-Dev", false, "WAS-NET-Environment"),
		from(service("Web-Net-Ext45", "Web-App-Dev", false, "NET-Framework-45-ASPNET"), v12),
		from(service("Web-Asp-Net45", "Web-App-Dev", false, "Web-Net-Ext45", "Web-ISAPI-Ext", "Web-ISAPI-Filter",
			"Web-Default-Doc"), v12),
		service("Web-ASP", "Web-App-Dev", false, "Web-ISAPI-Ext"),
		service("Web-CGI", "Web-App-Dev", false),
		service("Web-ISAPI-Ext", "Web-App-Dev", false),
		service("Web-ISAPI-Filter", "Web-App-Dev", false),
		service("Web-Includes", "Web-App-Dev", false),
		service("Web-Health", "Web-WebServer", true),
		service("Web-Http-Logging", "Web-Health", true),
		service("Web-Log-Libraries", "Web-Health", false),
		upTo(service("Web-Request-Monitor", "Web-Health", true), r2),
		from(service("Web-Request-Monitor", "Web-Health", false), v12),
		service("Web-Http-Tracing", "Web-Health", false),
		service("Web-Security", "Web-WebServer", true),
		service("Web-Filtering", "Web-Security", true),
		service("Web-Basic-Auth", "Web-Security", false),
		service("Web-Windows-Auth", "Web-Security", false),
		service("Web-Digest-Auth", "Web-Security", false),
		service("Web-Client-Auth", "Web-Security", false),
		service("Web-Cert-Auth", "Web-Security", false),
		service("Web-Url-Auth", "Web-Security", false),
		service("Web-IP-Security", "Web-Security", false),
		service("Web-Performance", "Web-WebServer", true),
		service("Web-Stat-Compression", "Web-Performance", true),
		service("Web-Dyn-Compression", "Web-Performance", false),
		service("Web-Mgmt-Tools", "Web-Server", false),
		service("Web-Mgmt-Console", "Web-Mgmt-Tools", false),
		service("Web-Scripting-Tools", "Web-Mgmt-Tools", false),
		service("Web-Mgmt-Service", "Web-Mgmt-Tools", false),
		service("Web-Mgmt-Compat", "Web-Mgmt-Tools", false),
		service("Web-Metabase", "Web-Mgmt-Compat", false),
		service("Web-WMI", "Web-Mgmt-Compat", false, "Web-Metabase"),
		service("Web-Lgcy-Scripting", "Web-Mgmt-Compat", false, "Web-Metabase", "Web-WMI"),
		service("Web-Lgcy-Mgmt-Console", "Web-Mgmt-Compat", false, "Web-Metabase"),
	}
}
