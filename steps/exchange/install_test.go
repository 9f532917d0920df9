package exchange

import (
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/internal/testkit/nodetest"
	"deploy/steps"
)

const (
	media   = `D:\Exchange\setup.com`
	mailbox = roleRoot + `\MailboxRole`
	goodRun = "[1] [0] Starting Microsoft Exchange Server 2007 Setup\r\n[1] [1] [ERROR] old\r\n[1] [0] End of Setup\r\n" +
		"[2] [0] Starting Microsoft Exchange Server 2007 Setup\r\n[2] [0] CurrentResult setupbase.maincore:396: 0\r\n[2] " +
		"[0] End of Setup\r\n"
)

func theInstall() *Install { return &Install{Roles: []string{"Mailbox"}, Setup: media, As: "admin"} }

func keys(m *nodetest.Machine, names ...string) {
	m.SetKey(mailbox)
	for _, n := range names {
		m.SetValue(mailbox, n, "string", "8.1.240.6")
	}
}

// The rule by which a cut setup is told from a finished one.
func TestRoleState(t *testing.T) {
	for values, want := range map[string]int{
		"":                                  roleAbsent,
		"UnpackedVersion":                   rolePartial,
		"UnpackedVersion ConfiguredVersion": roleDone,
		"ConfiguredVersion":                 roleDone,
		"UnpackedVersion Action":            rolePartial,
		"UnpackedVersion ConfiguredVersion Action": rolePartial,
		"ConfiguredVersion Watermark":              rolePartial,
	} {
		m := nodetest.New(node.WS2008)
		keys(m, strings.Fields(values)...)
		if got, err := roleState(t.Context(), m, "Mailbox"); err != nil || got != want {
			t.Errorf("%q: %d, %v", values, got, err)
		}
	}
	m := nodetest.New(node.WS2008)
	if got, err := roleState(t.Context(), m, "Mailbox"); err != nil || got != roleAbsent {
		t.Errorf("no key: %d, %v", got, err)
	}
	m.Break = func(node.Request) error { return &node.LinkError{Node: "n", Sent: true} }
	if _, err := roleState(t.Context(), m, "Mailbox"); err == nil {
		t.Error("a lost link was taken for an answer")
	}
	// a clustered mailbox server of ours that is being made leaves its watermark in the role that is
	// there
	m = nodetest.New(node.WS2008)
	keys(m, "ConfiguredVersion", "Watermark")
	m.SetKey(markKey("exchange-newcms-1"))
	if got, err := roleState(t.Context(), m, "Mailbox"); err != nil || got != roleDone {
		t.Errorf("mailbox server under way: %d, %v", got, err)
	}
}

func TestInstallRefusesSomebodyElsesSetup(t *testing.T) {
	m := nodetest.New(node.WS2008)
	keys(m, "UnpackedVersion", "Watermark")
	if d, err := theInstall().Check(t.Context(), m); err == nil || hint.Of(err) == "" {
		t.Errorf("%+v, %v", d, err)
	}
	m.SetKey(markKey(theInstall().id()))
	d, err := theInstall().Check(t.Context(), m)
	if err != nil || d.Action != steps.Run {
		t.Errorf("our own: %+v, %v", d, err)
	}
}

// setup makes the fake setup.com: its exit code, what it leaves in the registry, what it writes
// into its log.
func setup(m *nodetest.Machine, code int, log string, values ...string) *[]string {
	var ran []string
	m.Programs[strings.ToLower(media)] = func(argv []string) node.Result {
		ran = append(ran, strings.Join(argv[1:], " "))
		keys(m, values...)
		if log != "" {
			m.SetFile(setupLog, []byte(log))
		}
		return node.Result{Code: code}
	}
	return &ran
}

// Success needs three witnesses: exit code, log and registry.
func TestInstallNeedsThreeWitnesses(t *testing.T) {
	for name, c := range map[string]struct {
		code   int
		log    string
		values []string
		fails  bool
	}{
		"all agree":      {0, goodRun, []string{"UnpackedVersion", "ConfiguredVersion"}, false},
		"exit code":      {1, goodRun, []string{"UnpackedVersion", "ConfiguredVersion"}, true},
		"registry":       {0, goodRun, []string{"UnpackedVersion"}, true},
		"watermark left": {0, goodRun, []string{"UnpackedVersion", "ConfiguredVersion", "Watermark"}, true},
		"error in the last run": {0, goodRun +
			"Starting Microsoft Exchange Server 2007 Setup\n[1] [ERROR] no\nEnd of Setup\n", []string{"ConfiguredVersion"},
			true},
		"run without an end": {0, goodRun + "Starting Microsoft Exchange Server 2007 Setup\n",
			[]string{"ConfiguredVersion"}, true},
		"no log": {0, "", []string{"ConfiguredVersion"}, true},
	} {
		m := nodetest.New(node.WS2008)
		ran := setup(m, c.code, c.log, c.values...)
		s := theInstall()
		d, err := s.Check(t.Context(), m)
		if err != nil || d.Action != steps.Run {
			t.Fatalf("%s: %+v, %v", name, d, err)
		}
		_, err = s.Apply(t.Context(), m, d)
		if (err != nil) != c.fails {
			t.Errorf("%s: %v", name, err)
		}
		if len(*ran) != 1 || (*ran)[0] != "/mode:Install /roles:Mailbox" {
			t.Errorf("%s: ran %v", name, *ran)
		}
		// the mark stays while the setup is not complete, and goes without a trace when it is
		_, there := m.Registry[strings.ToLower(markRoot)]
		if there != c.fails {
			t.Errorf("%s: mark %v", name, there)
		}
	}
}

// A run that was cut finds the job that still runs, or what it left, and does not start setup
// twice.
func TestInstallGoesOn(t *testing.T) {
	m := nodetest.New(node.WS2008)
	ran := setup(m, 0, goodRun, "UnpackedVersion", "ConfiguredVersion")
	s := theInstall()
	keys(m, "UnpackedVersion", "ConfiguredVersion")
	m.SetValue(markKey(s.id()), "What", "string", "install Mailbox")
	m.SetJob(s.id(), node.JobState{Phase: node.JobDone})
	d, err := s.Check(t.Context(), m)
	if err != nil || d.Action != steps.Update || !d.Effects.NothingToUndo {
		t.Fatalf("a finished setup with our mark: %+v, %v", d, err)
	}
	if _, err := s.Apply(t.Context(), m, d); err != nil || len(*ran) != 0 {
		t.Fatalf("%v, ran %v", err, *ran)
	}
	if d, err := s.Check(t.Context(), m); err != nil || d.Action != steps.NoOp {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := m.Job(t.Context(), s.id()); err == nil {
		t.Error("the job is still known")
	}
}

func TestInstallUndo(t *testing.T) {
	for name, c := range map[string]struct {
		other bool
		want  string
	}{
		"the only role": {false, "/mode:Uninstall"},
		"among others":  {true, "/mode:Uninstall /roles:Mailbox"},
	} {
		m := nodetest.New(node.WS2008)
		if c.other {
			m.SetValue(roleRoot+`\HubTransportRole`, "ConfiguredVersion", "string", "8.1")
		}
		s := theInstall()
		d, err := s.Check(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		keys(m, "ConfiguredVersion")
		var ran []string
		m.Programs[strings.ToLower(media)] = func(argv []string) node.Result {
			ran = append(ran, strings.Join(argv[1:], " "))
			delete(m.Registry, strings.ToLower(mailbox))
			m.SetFile(setupLog, []byte(goodRun))
			return node.Result{}
		}
		if err := s.Undo(t.Context(), m, d.Before); err != nil || len(ran) != 1 || ran[0] != c.want {
			t.Errorf("%s: %v, ran %v", name, err, ran)
		}
		if err := s.Undo(t.Context(), m, d.Before); err != nil || len(ran) != 1 {
			t.Errorf("%s: a second undo: %v, ran %v", name, err, ran)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, k := range Kinds() {
		if k.Summary == "" || k.Doc == "" || k.Undo == "" || k.Proof == "" || len(k.Sources) == 0 || k.Example == "" {
			t.Errorf("%s is not documented", k.Name)
		}
	}
	good := map[string]map[string]any{
		"exchange.prepare": {"what": "ad", "setup": media, "organization": "Contoso", "as": "admin"},
		"exchange.install": {"roles": []any{"Mailbox"}, "setup": media, "as": "admin"},
		"exchange.cms": {"name": "m", "address": "192.0.2.1", "data_path": `E:\m`, "disks": []any{"D"},
			"setup": media, "as": "admin"},
		"exchange.storagegroup":     {"server": "m", "letters": []any{"E", "f:"}, "as": "admin"},
		"exchange.databasepath":     {"server": "m", "path": `E:\m.edb`, "as": "admin"},
		"exchange.mta":              {"server": "m2", "like": "m1"},
		"exchange.move":             {"name": "m", "nodes": []any{"n1", "n2"}, "owner": "N1", "as": "admin"},
		"exchange.storagegrouppath": {"server": "m", "log_path": `E:\l`, "as": "admin"},
	}
	bad := map[string]map[string]any{
		"exchange.prepare":          {"organization": ""},
		"exchange.install":          {"roles": []any{"Post"}},
		"exchange.cms":              {"data_path": "m"},
		"exchange.storagegroup":     {"letters": []any{"EE"}},
		"exchange.databasepath":     {"path": `E:\m.mdb`},
		"exchange.mta":              {"like": "M2"},
		"exchange.move":             {"owner": "n3"},
		"exchange.storagegrouppath": {"log_path": "logs"},
	}
	for _, k := range Kinds() {
		if good[k.Name] == nil {
			continue
		}
		if _, err := k.Decode(good[k.Name]); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
		with := map[string]any{}
		for key, v := range good[k.Name] {
			with[key] = v
		}
		for key, v := range bad[k.Name] {
			with[key] = v
		}
		if _, err := k.Decode(with); err == nil {
			t.Errorf("%s took %v", k.Name, with)
		}
	}
}
