package machine

import (
	"slices"
	"strings"

	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// findFeature finds a feature of the machine's release by its id, without case.
func findFeature(c *Ctx, id string) (feature, bool) {
	for _, f := range features() {
		if strings.EqualFold(f.id, id) && f.on(c.M.Release) {
			return f, true
		}
	}
	return feature{}, false
}

// Feature says whether a role or feature is installed, without case.
func Feature(m *model.Machine, id string) bool {
	for k, on := range m.Features {
		if on && strings.EqualFold(k, id) {
			return true
		}
	}
	return false
}

func children(c *Ctx, id string) []feature {
	var out []feature
	for _, f := range features() {
		if strings.EqualFold(f.parent, id) && f.on(c.M.Release) {
			out = append(out, f)
		}
	}
	return out
}

// planInstall lists what installing ids brings that is not there, parents first: the parents, what
// each needs, and below an id that was asked for or needed the default sub-features, or all of
// them. unknown is the first id that the release does not have.
func planInstall(c *Ctx, ids []string, all bool) (list []feature, unknown string) {
	taken, opened := map[string]bool{}, map[string]bool{}
	var take func(f feature, below bool)
	take = func(f feature, below bool) {
		if !taken[f.id] {
			taken[f.id] = true
			if p, ok := findFeature(c, f.parent); ok {
				take(p, false)
			}
			if !Feature(c.M, f.id) {
				list = append(list, f)
			}
			for _, n := range f.needs {
				if x, ok := findFeature(c, n); ok {
					take(x, true)
				}
			}
		}
		if !below || opened[f.id] {
			return
		}
		opened[f.id] = true
		for _, k := range children(c, f.id) {
			if all || k.byDefault && !Feature(c.M, f.id) {
				take(k, true)
			}
		}
	}
	for _, id := range ids {
		f, ok := findFeature(c, id)
		if !ok {
			return nil, id
		}
		take(f, true)
	}
	return list, ""
}

// InstallFeatures installs roles and features with what they need. installed lists ids; restart
// says that one of them asks for it.
func InstallFeatures(c *Ctx, ids []string, all bool) (installed []string, restart bool, unknown string) {
	list, unknown := planInstall(c, ids, all)
	if unknown != "" {
		return nil, false, unknown
	}
	for _, f := range list {
		c.M.Features[f.id] = true
		installed = append(installed, f.id)
		if f.restarts(c.M.Release) {
			restart = true
			PendReboot(c, "feature:"+f.id, "cbs")
		}
		featureServices(c, f.id, true)
		for _, h := range c.B.OnFeature {
			h(c, f.id, true)
		}
	}
	return installed, restart, ""
}

// RemoveFeatures removes features with what is below them and what needs them. A parent that has
// lost its last child stays only when it was there on its own. Removing the failover cluster
// feature asks for a restart.
func RemoveFeatures(c *Ctx, ids []string) (removed []string, restart bool, unknown string) {
	gone := map[string]bool{}
	for _, id := range ids {
		f, ok := findFeature(c, id)
		if !ok {
			return nil, false, id
		}
		collect(c, f, gone)
	}
	emptied(c, gone)
	for _, id := range sortedKeys(gone) {
		delete(c.M.Features, id)
		removed = append(removed, id)
		if f, _ := findFeature(c, id); f.restarts(c.M.Release) || id == "Failover-Clustering" {
			restart = true
			PendReboot(c, "removed:"+id, "cbs")
		}
		delete(c.M.Pending, "feature:"+id)
		featureServices(c, id, false)
		for _, h := range c.B.OnFeature {
			h(c, id, false)
		}
	}
	return removed, restart, ""
}

// collect gathers an installed feature, what is below it and what needs it.
func collect(c *Ctx, f feature, gone map[string]bool) {
	if gone[f.id] || !Feature(c.M, f.id) {
		return
	}
	gone[f.id] = true
	for _, x := range features() {
		if x.on(c.M.Release) && (strings.EqualFold(x.parent, f.id) || slices.Contains(x.needs, f.id)) {
			collect(c, x, gone)
		}
	}
}

// emptied takes containers away that have nothing installed below them any more: a container is
// installed as long as one of its parts is.
func emptied(c *Ctx, gone map[string]bool) {
	for again := true; again; {
		again = false
		for _, f := range features() {
			if !f.on(c.M.Release) || gone[f.id] || !Feature(c.M, f.id) {
				continue
			}
			kids := children(c, f.id)
			lost, left := false, false
			for _, k := range kids {
				lost = lost || gone[k.id]
				left = left || Feature(c.M, k.id) && !gone[k.id]
			}
			if lost && !left {
				collect(c, f, gone)
				again = true
			}
		}
	}
}

// featureServices lets services come and go with features. The Cluster service itself belongs to
// the failover family.
func featureServices(c *Ctx, id string, installed bool) {
	for _, s := range optionalServices()[id] {
		if !s.on(c.M.Release) {
			continue
		}
		if installed {
			AddService(c.M, s.service(c.M.Locale))
		} else {
			DropService(c.M, s.name)
		}
	}
}

func optionalServices() map[string][]stockService {
	iis := `C:\Windows\system32\svchost.exe -k iissvcs`
	return map[string][]stockService{
		"WAS-Process-Model": {{name: "WAS",
			display: [4]string{"Windows Process Activation Service", "Service d’activation des processus Windows",
				"Windows-Prozessaktivierungsdienst", "Windows プロセス アクティブ化サービス"}, start: 3, path: iis, needs: []string{"RpcSs"}}},
		"Web-WebServer": {{name: "W3SVC",
			display: [4]string{"World Wide Web Publishing Service", "Service de publication World Wide Web",
				"WWW-Publishingdienst", "World Wide Web 発行サービス"}, start: 2, path: iis, needs: []string{"WAS"}}},
		"Web-Metabase": {{name: "IISADMIN", display: [4]string{"IIS Admin Service", "Service d’administration IIS",
			"IIS-Verwaltungsdienst", "IIS Admin Service"}, start: 2, path: `C:\Windows\system32\inetsrv\inetinfo.exe`,
			needs: []string{"RpcSs", "SamSs"}}},
		"SMTP-Server": {{name: "SMTPSVC",
			display: [4]string{"Simple Mail Transfer Protocol (SMTP)", "Protocole SMTP (Simple Mail Transfer Protocol)",
				"Simple Mail Transfer-Protokoll (SMTP)", "簡易メール転送プロトコル (SMTP)"}, start: 3,
			path: `C:\Windows\system32\inetsrv\inetinfo.exe`, needs: []string{"IISADMIN"}}},
		"DNS": {domainServices()[2]},
		"Failover-Clustering": {
			clusterDriver("ClusNet", "Cluster Network Driver", "clusnet.sys", node.WS2008, ""),
			clusterDriver("ClusDisk", "Cluster Disk Driver", "clusdisk.sys", node.WS2008, ""),
		},
	}
}
