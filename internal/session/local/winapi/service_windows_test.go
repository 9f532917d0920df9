package winapi

import (
	"os"
	"strings"
	"testing"
	"time"

	"deploy/internal/node"

	"golang.org/x/sys/windows/svc/mgr"
)

// testService makes a service whose program is this test binary, stopped and started by hand, which
// is gone after the test.
func testService(t *testing.T) string {
	t.Helper()
	m, err := mgr.Connect()
	must(t, err)
	defer func() { _ = m.Disconnect() }()
	exe, err := os.Executable()
	must(t, err)
	name := unique("DeployTest")
	s, err := m.CreateService(name, exe, mgr.Config{DisplayName: "Deploy test " + name, StartType: mgr.StartManual},
		serviceFlag, name)
	must(t, err)
	t.Cleanup(func() {
		_, _ = ServiceCall(map[string]any{"Name": name}, "StopService", nil)
		waitState(t, name, "Stopped")
		if err := s.Delete(); err != nil {
			t.Error(err)
		}
		_ = s.Close()
	})
	return name
}

var someProps = []string{"Name", "StartMode", "State"}

func look(t *testing.T, name string) node.Row {
	t.Helper()
	rows, err := ServiceGet(someProps, map[string]any{"Name": name})
	if err != nil || len(rows) != 1 {
		t.Fatalf("%v, %v", rows, err)
	}
	return rows[0]
}

func waitState(t *testing.T, name, want string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		got := look(t, name).String("State")
		if got == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("service %s is %s, and not %s", name, got, want)
		}
	}
}

func control(t *testing.T, name, method string, args map[string]any, want int64) {
	t.Helper()
	where := map[string]any{"name": strings.ToUpper(name)}
	if !ServesServiceCall(`ROOT\CIMV2`, "win32_service", where, method, args) {
		t.Fatalf("%s %v is not served", method, args)
	}
	row, err := ServiceCall(where, method, args)
	if err != nil || row.Int("ReturnValue") != want || !row.Has("ReturnValue") {
		t.Errorf("%s %v: %v, %v, want %d", method, args, row, err, want)
	}
}

func TestServiceLife(t *testing.T) {
	name := testService(t)
	if s := look(t, strings.ToLower(name)); s.String("Name") != name || s.String("StartMode") != "Manual" ||
		s.String("State") != "Stopped" {
		t.Error(s)
	}
	control(t, name, "StopService", nil, 6)
	control(t, name, "StartService", nil, 0)
	waitState(t, name, "Running")
	control(t, name, "StartService", nil, 10)
	control(t, name, "StopService", nil, 0)
	waitState(t, name, "Stopped")
	for word, mode := range map[string]string{"Automatic": "Auto", "manual": "Manual", "Disabled": "Disabled"} {
		control(t, name, "ChangeStartMode", map[string]any{"StartMode": word}, 0)
		if s := look(t, name); s.String("StartMode") != mode {
			t.Errorf("%s: %v", word, s)
		}
	}
	control(t, name, "ChangeStartMode", map[string]any{"StartMode": "Disabled"}, 0)
	control(t, name, "StartService", nil, 14)
	// the word that is read is not the word that is written
	control(t, name, "ChangeStartMode", map[string]any{"StartMode": "Auto"}, 21)
}

// TestServiceLikeWMI: what the service manager says is what WMI says.
func TestServiceLikeWMI(t *testing.T) {
	name := testService(t)
	var h Host
	defer h.Close()
	check := func() {
		t.Helper()
		where := map[string]any{"Name": name}
		got, err := ServiceGet([]string{"Name", "State", "StartMode", "DisplayName"}, where)
		must(t, err)
		want, err := h.Get(t.Context(), serviceNS, "Win32_Service", []string{"Name", "State", "StartMode", "DisplayName"},
			where)
		must(t, err)
		if len(got) != 1 || len(want) != 1 {
			t.Fatalf("%v, %v", got, want)
		}
		for k, v := range want[0] {
			if got[0][k] != v {
				t.Errorf("%s: %v, and WMI says %v", k, got[0][k], v)
			}
		}
	}
	check()
	control(t, name, "StartService", nil, 0)
	waitState(t, name, "Running")
	check()
}

func TestServiceAbsent(t *testing.T) {
	for _, name := range []string{"no-such-service", `no/such\service`, strings.Repeat("x", 300)} {
		rows, err := ServiceGet(someProps, map[string]any{"Name": name})
		if err != nil || len(rows) != 0 {
			t.Errorf("%s: %v, %v", name, rows, err)
		}
		_, err = ServiceCall(map[string]any{"Name": name}, "StartService", nil)
		is(t, err, node.ErrNotFound, 0)
	}
}

func TestServiceList(t *testing.T) {
	name := testService(t)
	rows, err := ServiceGet(someProps, nil)
	must(t, err)
	found := false
	for _, r := range rows {
		if r.String("Name") == name {
			found = true
		}
		if r.String("Name") == "" || r.String("StartMode") == "Unknown" || r.String("State") == "Unknown" {
			t.Error(r)
		}
	}
	if !found || len(rows) < 2 {
		t.Errorf("%d services, and %s among them: %v", len(rows), name, found)
	}
}

// TestServesOnlyWhatItKnows: anything else goes to WMI, which knows more.
func TestServesOnlyWhatItKnows(t *testing.T) {
	one := map[string]any{"Name": "x"}
	for _, tt := range []struct {
		ns, class string
		props     []string
		where     map[string]any
		want      bool
	}{
		{`root\cimv2`, "Win32_Service", someProps, one, true},
		{`root\cimv2`, "Win32_Service", someProps, nil, true},
		{`root\cimv2`, "Win32_Service", nil, one, false},
		{`root\cimv2`, "Win32_Service", []string{"Name", "Description"}, one, false},
		{`root\cimv2`, "Win32_Service", someProps, map[string]any{"State": "Running"}, false},
		{`root\cimv2`, "Win32_Service", someProps, map[string]any{"Name": int64(1)}, false},
		{`root\other`, "Win32_Service", someProps, one, false},
		{`root\cimv2`, "Win32_Process", someProps, one, false},
	} {
		if got := ServesService(tt.ns, tt.class, tt.props, tt.where); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
	for method, want := range map[string]bool{"StartService": true, "PauseService": false, "Delete": false,
		"ChangeStartMode": false} {
		if got := ServesServiceCall(serviceNS, "Win32_Service", one, method, nil); got != want {
			t.Errorf("%s: %v", method, got)
		}
	}
	if ServesServiceCall(serviceNS, "Win32_Service", nil, "StartService", nil) {
		t.Error("a call without a name is served")
	}
}
