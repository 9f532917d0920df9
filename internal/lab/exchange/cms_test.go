package exchange

import (
	"slices"
	"strings"
	"testing"

	"deploy/internal/lab/directory"
	"deploy/internal/lab/failover"
	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

func locales() []string { return []string{"en", "fr", "de", "ja"} }

func TestNewCMSRefusals(t *testing.T) {
	const name, ip, path = "mbx01", "192.0.2.21", `E:\mbx01`
	good := newCMS(name, ip, path)
	without := func(prefix string) []string {
		return slices.DeleteFunc(slices.Clone(good), func(a string) bool { return strings.HasPrefix(a, prefix) })
	}
	x := clustered(t, "en")
	x.refused("MailboxRoleNotInstalled", "not installed", "n1", good...)
	x = prepared(t, "en")
	x.must("n1", "/mode:Install", "/roles:Mailbox")
	x.refused("ClusSvcNotRunning", "not a node of a running cluster", "n1", good...)

	x = clustered(t, "en", "n1")
	before := len(x.w.Forest.Objects)
	x.refused("", "are needed", "n1", without("/CMSName")...)
	x.refused("", "are needed", "n1", without("/CMSIPAddress")...)
	x.refused("", "are needed", "n1", without("/CMSDataPath")...)
	x.refused("", "continuous replication", "n1", without("/CMSSharedStorage")...)
	x.refused("", "are needed", "n1", newCMS("a-name-that-is-too-long", ip, path)...)
	x.refused("", "are needed", "n1", newCMS(name, "192.0.2.300", path)...)
	x.refused("CmsIPAddressNotOnPublicNetwork", "no network that clients may use", "n1",
		newCMS(name, "198.51.100.7", path)...)
	x.refused("CmsIPAddressNotOnPublicNetwork", "no network that clients may use", "n1",
		newCMS(name, "10.10.10.21", path)...)
	x.refused("CmsIPAddressInUse", "in use", "n1", newCMS(name, "192.0.2.20", path)...)
	x.refused("CmsIPAddressInUse", "in use", "n1", newCMS(name, "192.0.2.12", path)...)
	x.refused("CmsNameInUse", "in use", "n1", newCMS("CLU", ip, path)...)
	x.refused("CmsNameInUse", "in use", "n1", newCMS("n2", ip, path)...)
	x.refused("SharedStorageNotDetected", "no physical disk", "n1", newCMS(name, ip, `C:\mbx01`)...)
	x.refused("SharedStorageNotDetected", "no physical disk", "n1", newCMS(name, ip, `G:\mbx01`)...)
	x.refused("SharedStorageNotDetected", "not the quorum", "n1", newCMS(name, ip, `Q:\mbx01`)...)
	x.tool("n1", "cluster.exe", "group", "mbx01", "/create")
	x.refused("CmsGroupExists", "group named mbx01", "n1", good...)
	x.tool("n1", "cluster.exe", "group", "mbx01", "/delete")
	if len(x.w.Forest.Objects) != before || x.reg("n1", `\v8.0\MailboxRole`, "Watermark") != nil {
		t.Error("a refusal left something behind")
	}

	x.must("n1", good...)
	x.refused("CmsNameInUse", "an Exchange server named mbx01", "n1", good...)
	x.refused("NodeOwnsCms", "runs a clustered mailbox server already", "n1", newCMS("mbx02", "192.0.2.22", `F:\mbx02`)...)
}

func TestNewCMS(t *testing.T) {
	for _, locale := range locales() {
		x := clustered(t, locale, "n1")
		x.must("n1", newCMS("mbx01", "192.0.2.21", `E:\mbx01`)...)
		x.must("n2", "/mode:Install", "/roles:Mailbox")
		cl := x.cluster()
		sg, mdb := firstNames(x.at("n1"))
		type res struct{ typ, deps string }
		want := map[string]res{
			ipName("mbx01"):             {"IP Address", ""},
			nnName("mbx01"):             {"Network Name", "[" + ipName("mbx01") + "]"},
			saName("mbx01"):             {typeSA, "[" + nnName("mbx01") + "]"},
			isName("mbx01"):             {typeIS, "[" + nnName("mbx01") + "]"},
			sg + "/" + mdb + " (mbx01)": {typeDB, "[" + isName("mbx01") + "]"},
		}
		for _, r := range failover.Resources(cl, "mbx01") {
			w, ok := want[r.Name]
			delete(want, r.Name)
			if !ok || r.Type != w.typ || r.State != 2 || r.DependsOn != w.deps {
				t.Errorf("%s: resource %q of type %q in state %d depends on %v", locale, r.Name, r.Type, r.State, r.DependsOn)
			}
			if strings.HasPrefix(r.Type, "Microsoft Exchange ") && len(r.Owners) != 2 {
				t.Errorf("%s: %s may run on %v", locale, r.Name, r.Owners)
			}
		}
		if len(want) > 0 {
			t.Errorf("%s: missing resources %v", locale, want)
		}
		f := x.w.Forest
		if o := directory.Get(f, "CN=Microsoft MTA,"+serverDN(f, "mbx01")); o == nil || o.Class != "mTA" {
			t.Errorf("%s: the first server has no Microsoft MTA object", locale)
		}
		edb := `E:\mbx01\` + sg + `\` + mdb + ".edb"
		if !machine.Exists(x.at("n1"), edb) || !machine.Exists(x.at("n1"), `E:\mbx01\`+sg+`\E00.log`) {
			t.Errorf("%s: there is no %s", locale, edb)
		}
		if got := x.service("n1", "MSExchangeIS"); got != "start 3 state 4" {
			t.Errorf("%s: the store is %s", locale, got)
		}
		if got := directory.Get(f, serverDN(f, "mbx01")).Attrs[attrNodes]; !slices.Equal(got, []string{"n1", "n2"}) {
			t.Errorf("%s: redundant machines are %v", locale, got)
		}
	}
}

// The known fault: the second clustered mailbox server gets no Microsoft MTA object. And the first
// must be the last to go.
func TestSecondServerAndRemoval(t *testing.T) {
	x := clustered(t, "en", "n1", "n2")
	x.must("n1", newCMS("mbx01", "192.0.2.21", `E:\mbx01`)...)
	for _, r := range x.cluster().Resources {
		if r.Disk == "E" { // what is left in the available storage follows its group
			x.tool("n1", "cluster.exe", "resource", r.Name, "/move:mbx01")
		}
	}
	for _, r := range x.cluster().Resources {
		if r.Disk == "F" {
			x.tool("n1", "cluster.exe", "group", r.Group, "/moveto:n2")
		}
	}
	x.must("n2", newCMS("mbx02", "192.0.2.22", `F:\mbx02`)...)
	f := x.w.Forest
	if directory.Get(f, "CN=Microsoft MTA,"+serverDN(f, "mbx02")) != nil {
		t.Error("the second server has a Microsoft MTA object")
	}
	x.refused("FirstCmsMustBeLast", "remove the other", "n1", "/RemoveCMS", "/CMSName:mbx01")
	x.refused("NodeDoesNotOwnCms", "run setup there", "n1", "/RemoveCMS", "/CMSName:mbx02")
	x.refused("CmsNotFound", "no clustered mailbox server", "n1", "/RemoveCMS", "/CMSName:mbx03")
	x.refused("ClusteredMailboxServerOnNode", "runs on this node", "n2", "/mode:Uninstall")
	home := databases(f)[1].obj.DN
	directory.Put(f, "CN=Someone,CN=Users,"+directory.DomainNC(f), "user", map[string][]string{"homemdb": {home}})
	x.refused("MailboxRoleHasMailboxes", "hold mailboxes", "n2", "/RemoveCMS", "/CMSName:mbx02")
	directory.Delete(f, "CN=Someone,CN=Users,"+directory.DomainNC(f))
	x.must("n2", "/RemoveCMS", "/CMSName:mbx02")
	if directory.Get(f, serverDN(f, "mbx02")) != nil || failover.Group(x.cluster(), "mbx02") != nil {
		t.Error("the removed server is still there")
	}
	if sg, mdb := firstNames(x.at("n2")); !machine.Exists(x.at("n2"), `F:\mbx02\`+sg+`\`+mdb+".edb") {
		t.Error("removing a server removed its database")
	}
	x.must("n1", "/RemoveCMS", "/CMSName:mbx01")
	if g := failover.Group(x.cluster(), "mbx01"); g == nil || len(failover.Resources(x.cluster(), "mbx01")) != 1 {
		t.Error("a group that holds a disk must stay")
	}
}

// A server whose making was cut is gone on with.
func TestNewCMSGoesOn(t *testing.T) {
	for _, fault := range []*model.Fault{
		{Kind: "setup-fails", Times: 1, Args: map[string]string{"at": "Clustered-Mailbox-Server"}},
		{Kind: "disk-full", Times: 1, Args: map[string]string{"path": "E:"}},
	} {
		x := clustered(t, "en", "n1", "n2")
		x.w.Faults = []*model.Fault{fault}
		args := newCMS("mbx01", "192.0.2.21", `E:\mbx01`)
		if code, _, _ := x.setup("n1", args...); code != 1 || x.reg("n1", `\v8.0\MailboxRole`, "Watermark") == nil {
			t.Errorf("%s: exit %d, watermark %v", fault.Kind, code, x.reg("n1", `\v8.0\MailboxRole`, "Watermark"))
		}
		x.must("n1", args...)
		if len(failover.Resources(x.cluster(), "mbx01")) != 5 || x.reg("n1", `\v8.0\MailboxRole`, "Watermark") != nil ||
			directory.Get(x.w.Forest, "CN=Microsoft MTA,"+serverDN(x.w.Forest, "mbx01")) == nil {
			t.Errorf("%s: the second run did not finish the server", fault.Kind)
		}
	}
}
