package machine

import "deploy/internal/node"

// Base is what every machine can do before any family adds to it: the system's tools, classes,
// cmdlets and registry. Each call makes a set of its own, so that families may add to it.
func Base() *Module {
	b := &Module{
		Tools: map[string]Tool{
			"cmd.exe": cmdTool, "hostname.exe": hostnameTool, "whoami.exe": whoamiTool, "chcp.com": chcpTool,
			"ipconfig.exe": ipconfigTool,
			"sc.exe":       scTool, "net.exe": netTool, "net1.exe": netTool, "reg.exe": regTool, "netsh.exe": netshTool,
			"diskpart.exe": diskpartTool, "format.com": formatTool, "servermanagercmd.exe": serverManagerTool,
			"icacls.exe": icaclsTool, "cacls.exe": caclsTool, "schtasks.exe": schtasksTool, "shutdown.exe": shutdownTool,
			"wmic.exe": wmicTool, "curl.exe": curlTool, "certutil.exe": certutilTool,
		},
		Have: map[string]func(c *Ctx) bool{
			"servermanagercmd.exe": between(node.WS2008, node.WS2008R2),
			// Windows 10 version 1803. Source: Microsoft, "Tar and Curl Come to Windows!"
			"curl.exe": between(node.WS2019, ""),
			"wmic.exe": between("", node.WS2022), // an optional feature from 2025 on
		},
		Hives: append([]*Hive{serviceHive()}, adapterHives()...),
	}
	b.Classes = append(b.Classes, systemClasses()...)
	b.Classes = append(b.Classes, serviceClass())
	b.Classes = append(b.Classes, netClasses()...)
	b.Classes = append(b.Classes, diskClasses()...)
	b.Cmdlets = append(b.Cmdlets, serviceCmdlets()...)
	b.Cmdlets = append(b.Cmdlets, featureCmdlets()...)
	b.Cmdlets = append(b.Cmdlets, storageCmdlets()...)
	b.Cmdlets = append(b.Cmdlets, netCmdlets()...)
	return b
}

// between says that a tool is there from one release to another; "" is open.
func between(since, until node.Release) func(c *Ctx) bool {
	return func(c *Ctx) bool {
		return (since == "" || c.AtLeast(since)) && (until == "" || c.M.Release == until || !c.AtLeast(until))
	}
}
