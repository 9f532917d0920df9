package machine

import (
	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// stockService is a service that a machine or a role comes with. Names are the same in every
// language, display names are not. Start types are those of a fresh installation.
type stockService struct {
	name         string
	display      [4]string
	start        int
	delayed      bool
	kind         int
	account      string
	path         string
	needs        []string
	since, until node.Release
}

func (s stockService) on(r node.Release) bool {
	return (s.since == "" || r.AtLeast(s.since)) && (s.until == "" || r == s.until || !r.AtLeast(s.until))
}

func (s stockService) service(locale string) model.Service {
	state := 1
	if s.start <= 2 {
		state = 4
	}
	kind, path := s.kind, s.path
	if kind == 0 {
		kind = 32
	}
	if path == "" {
		path = `C:\Windows\system32\svchost.exe -k netsvcs`
	}
	account := s.account
	if kind < 16 {
		account = ""
	}
	return model.Service{Name: s.name, Display: pick(locale, s.display), Start: s.start, Delayed: s.delayed, Kind: kind,
		State:   state,
		Account: account, Path: path, DependsOn: s.needs}
}

func baseServices() []stockService {
	const ns, ls = `NT AUTHORITY\NetworkService`, `NT AUTHORITY\LocalService`
	driver := func(name, display string, start int, file string) stockService {
		return stockService{name: name, display: [4]string{display}, start: start, kind: 1, path: `system32\drivers\` + file}
	}
	return []stockService{
		driver("Tcpip", "TCP/IP Protocol Driver", 0, "tcpip.sys"),
		driver("NetBT", "NetBT", 1, "netbt.sys"),
		driver("AFD", "Ancillary Function Driver for Winsock", 1, "afd.sys"),
		driver("Disk", "Disk Driver", 0, "disk.sys"),
		{name: "RpcSs", display: [4]string{"Remote Procedure Call (RPC)", "Appel de procédure distante (RPC)",
			"Remoteprozeduraufruf (RPC)", "Remote Procedure Call (RPC)"}, start: 2, account: ns},
		{name: "PlugPlay", display: [4]string{"Plug and Play", "Plug-and-Play", "Plug & Play", "Plug and Play"}, start: 2},
		{name: "EventLog", display: [4]string{"Windows Event Log", "Journal d’événements Windows",
			"Windows-Ereignisprotokoll", "Windows イベント ログ"}, start: 2, account: ls},
		{name: "SamSs", display: [4]string{"Security Accounts Manager", "Gestionnaire de comptes de sécurité",
			"Sicherheitskonto-Manager", "Security Accounts Manager"}, start: 2, needs: []string{"RpcSs"},
			path: `C:\Windows\system32\lsass.exe`},
		{name: "Dhcp", display: [4]string{"DHCP Client", "Client DHCP", "DHCP-Client", "DHCP クライアント"}, start: 2,
			account: ls, needs: []string{"Tcpip", "NetBT", "AFD"}},
		{name: "Dnscache", display: [4]string{"DNS Client", "Client DNS", "DNS-Client", "DNS クライアント"}, start: 2,
			account: ns, needs: []string{"Tcpip"}},
		{name: "lmhosts", display: [4]string{"TCP/IP NetBIOS Helper", "Assistance NetBIOS sur TCP/IP",
			"TCP/IP-NetBIOS-Hilfsdienst", "TCP/IP NetBIOS ヘルパー"}, start: 2, account: ls, needs: []string{"NetBT", "AFD"}},
		{name: "LanmanServer", display: [4]string{"Server", "Serveur", "Server", "Server"}, start: 2,
			needs: []string{"SamSs"}},
		{name: "LanmanWorkstation", display: [4]string{"Workstation", "Station de travail", "Arbeitsstationsdienst",
			"Workstation"}, start: 2, account: ns},
		{name: "Netlogon", display: [4]string{"Netlogon", "Netlogon", "Anmeldedienst", "Netlogon"}, start: 2,
			needs: []string{"LanmanWorkstation"}, path: `C:\Windows\system32\lsass.exe`},
		{name: "W32Time", display: [4]string{"Windows Time", "Temps Windows", "Windows-Zeitgeber", "Windows Time"}, start: 2,
			account: ls},
		{name: "RemoteRegistry", display: [4]string{"Remote Registry", "Registre à distance", "Remoteregistrierung",
			"Remote Registry"}, start: 2, account: ls, needs: []string{"RpcSs"}},
		{name: "Winmgmt", display: [4]string{"Windows Management Instrumentation", "Infrastructure de gestion Windows",
			"Windows-Verwaltungsinstrumentation", "Windows Management Instrumentation"}, start: 2, needs: []string{"RpcSs"}},
		{name: "WinRM", display: [4]string{"Windows Remote Management (WS-Management)",
			"Gestion à distance de Windows (Gestion WSM)", "Windows-Remoteverwaltung (WS-Verwaltung)",
			"Windows Remote Management (WS-Management)"}, start: 2, account: ns, needs: []string{"RpcSs"}},
		{name: "Schedule", display: [4]string{"Task Scheduler", "Planificateur de tâches", "Aufgabenplanung",
			"Task Scheduler"}, start: 2, needs: []string{"RpcSs"}},
		{name: "Spooler", display: [4]string{"Print Spooler", "Spouleur d’impression", "Druckwarteschlange",
			"Print Spooler"}, start: 2, kind: 16, path: `C:\Windows\System32\spoolsv.exe`, needs: []string{"RpcSs"}},
		{name: "MSDTC", display: [4]string{"Distributed Transaction Coordinator", "Coordinateur de transactions distribuées",
			"Distributed Transaction Coordinator", "Distributed Transaction Coordinator"}, start: 2, delayed: true, kind: 16,
			account: ns, path: `C:\Windows\System32\msdtc.exe`, needs: []string{"RpcSs", "SamSs"}, since: node.WS2008},
		{name: "MSDTC", display: [4]string{"Distributed Transaction Coordinator", "Distributed Transaction Coordinator",
			"Distributed Transaction Coordinator", "Distributed Transaction Coordinator"}, start: 2, kind: 16, account: ns,
			path: `C:\Windows\System32\msdtc.exe`, needs: []string{"RpcSs", "SamSs"}, until: node.WS2003},
		{name: "TermService", display: [4]string{"Remote Desktop Services", "Services Bureau à distance",
			"Remotedesktopdienste", "Remote Desktop Services"}, start: 3, account: ns, needs: []string{"RpcSs"}},
		{name: "BITS", display: [4]string{"Background Intelligent Transfer Service",
			"Service de transfert intelligent en arrière-plan", "Intelligenter Hintergrundübertragungsdienst",
			"Background Intelligent Transfer Service"}, start: 3, needs: []string{"RpcSs"}},
		{name: "wuauserv", display: [4]string{"Windows Update", "Windows Update", "Windows Update", "Windows Update"},
			start: 3, needs: []string{"RpcSs"}},
		{name: "VSS", display: [4]string{"Volume Shadow Copy", "Cliché instantané des volumes", "Volumeschattenkopie",
			"Volume Shadow Copy"}, start: 3, kind: 16, path: `C:\Windows\system32\vssvc.exe`, needs: []string{"RpcSs"}},
		{name: "vds", display: [4]string{"Virtual Disk", "Disque virtuel", "Virtueller Datenträger", "Virtual Disk"},
			start: 3, kind: 16, path: `C:\Windows\System32\vds.exe`, needs: []string{"RpcSs", "PlugPlay"}},
		{name: "MpsSvc", display: [4]string{"Windows Firewall", "Pare-feu Windows", "Windows-Firewall",
			"Windows ファイアウォール"}, start: 2, account: ls, needs: []string{"RpcSs"}, since: node.WS2008},
		{name: "SharedAccess", display: [4]string{"Windows Firewall/Internet Connection Sharing (ICS)",
			"Pare-feu Windows/Partage de connexion Internet", "Windows-Firewall/Gemeinsame Nutzung der Internetverbindung",
			"Windows Firewall/Internet Connection Sharing (ICS)"}, start: 4, until: node.WS2003},
		{name: "gpsvc", display: [4]string{"Group Policy Client", "Client de stratégie de groupe",
			"Gruppenrichtlinienclient", "Group Policy Client"}, start: 2, needs: []string{"RpcSs"}, since: node.WS2008},
		{name: "TrustedInstaller", display: [4]string{"Windows Modules Installer",
			"Programme d’installation pour les modules Windows", "Windows Modules Installer", "Windows Modules Installer"},
			start: 3, kind: 16, path: `C:\Windows\servicing\TrustedInstaller.exe`, since: node.WS2008},
		{name: "WinDefend", display: [4]string{"Windows Defender Antivirus Service", "Service antivirus Windows Defender",
			"Windows Defender Antivirus-Dienst", "Windows Defender Antivirus Service"}, start: 2, kind: 16,
			needs: []string{"RpcSs"}, since: node.WS2016},
		{name: "sshd", display: [4]string{"OpenSSH SSH Server"}, start: 3, kind: 16,
			path: `C:\Windows\System32\OpenSSH\sshd.exe`, since: node.WS2025},
		// part of the system on 2003 Enterprise and Datacenter, waiting to be configured (windows.md 8.2;
		// start type UNCONFIRMED)
		{name: "ClusSvc", display: clusterDisplay(), start: 4, kind: 16, path: `C:\Windows\Cluster\clussvc.exe`,
			needs: []string{"ClusNet", "RpcSs", "W32Time"}, until: node.WS2003},
		clusterDriver("ClusNet", "Cluster Network Driver", "clusnet.sys", "", node.WS2003),
		clusterDriver("ClusDisk", "Cluster Disk Driver", "clusdisk.sys", "", node.WS2003),
	}
}

func clusterDisplay() [4]string {
	return [4]string{"Cluster Service", "Service de cluster", "Clusterdienst", "クラスター サービス"}
}

func clusterDriver(name, display, file string, since, until node.Release) stockService {
	return stockService{name: name, display: [4]string{display}, start: 3, kind: 1, path: `system32\drivers\` + file,
		since: since, until: until}
}

// domainServices come with the role of a domain controller.
func domainServices() []stockService {
	return []stockService{
		{name: "NTDS", display: [4]string{"Active Directory Domain Services", "Services de domaine Active Directory",
			"Active Directory-Domänendienste", "Active Directory Domain Services"}, start: 2,
			path: `C:\Windows\System32\lsass.exe`, since: node.WS2008},
		{name: "Kdc", display: [4]string{"Kerberos Key Distribution Center", "Centre de distribution de clés Kerberos",
			"Kerberos-Schlüsselverteilungscenter", "Kerberos Key Distribution Center"}, start: 2,
			path: `C:\Windows\System32\lsass.exe`, needs: []string{"RpcSs"}},
		{name: "DNS", display: [4]string{"DNS Server", "Serveur DNS", "DNS-Server", "DNS サーバー"}, start: 2, kind: 16,
			path: `C:\Windows\system32\dns.exe`, needs: []string{"RpcSs", "Tcpip"}},
		{name: "IsmServ", display: [4]string{"Intersite Messaging", "Messagerie intersite",
			"Standortübergreifender Messagingdienst", "サイト間メッセージング"}, start: 2, kind: 16,
			path: `C:\Windows\System32\ismserv.exe`},
		{name: "NtFrs", display: [4]string{"File Replication Service", "Service de réplication de fichiers",
			"Dateireplikationsdienst", "File Replication Service"}, start: 2, kind: 16, path: `C:\Windows\system32\ntfrs.exe`,
			until: node.WS2008},
		{name: "DFSR", display: [4]string{"DFS Replication", "Réplication DFS", "DFS-Replikation", "DFS Replication"},
			start: 2, kind: 16, path: `C:\Windows\system32\DFSRs.exe`, since: node.WS2008},
		{name: "ADWS", display: [4]string{"Active Directory Web Services", "Services Web Active Directory",
			"Active Directory-Webdienste", "Active Directory Web Services"}, start: 2, kind: 16,
			path: `C:\Windows\ADWS\Microsoft.ActiveDirectory.WebServices.exe`, since: node.WS2008R2},
	}
}
