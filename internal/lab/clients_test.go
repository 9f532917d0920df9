package lab

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"deploy/internal/lab/machine"
	"deploy/internal/secret"
	"deploy/inventory"
)

// python is Debian's own interpreter: the clients are packages for it.
const python = "/usr/bin/python3"

// needClients skips a test of the tier "clients" unless that tier is being run.
func needClients(t *testing.T) {
	t.Helper()
	for _, module := range []string{"winrm", "gssapi"} {
		if out, err := exec.Command(python, "-c", "import "+module).CombinedOutput(); err != nil {
			t.Fatalf("python3 has no %s: apt-get install python3-winrm python3-gssapi gss-ntlmssp ansible\n%s", module, out)
		}
	}
}

// legacyOpenSSL makes a configuration that turns on OpenSSL's legacy provider: the NT hash is MD4,
// which OpenSSL 3 hides there.
func legacyOpenSSL(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "openssl.cnf")
	const text = "openssl_conf = init\n[init]\nproviders = list\n[list]\ndefault = on\nlegacy = on\n[on]\nactivate = 1\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// client runs an independent client and reads its JSON.
func client(t *testing.T, into any, env []string, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s%s", err, out, errOut.String())
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// clientLab is a lab for the clients, with a password that is not ASCII in one of its users.
func clientLab(t *testing.T, change func(*Config)) (*Lab, Endpoint, string) {
	t.Helper()
	cfg := testConfig(t)
	cfg.Module = nil // everything there is
	if change != nil {
		change(&cfg)
	}
	l := startLab(t, cfg)
	e := l.Endpoints()["n1"]
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, e.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	return l, e, ca
}

type clientAnswers struct {
	Refused bool
	Status  int
	Body    string
	Answers []struct {
		Line, Out, Err string
		Code           int64
	}
}

func text(t *testing.T, h string) string {
	t.Helper()
	b, err := hex.DecodeString(h)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestTierClientsPythonWinRM: python3-winrm logs on in every way and gets what the real tools
// document.
func TestTierClientsPythonWinRM(t *testing.T) {
	if os.Getenv("DEPLOY_TIER") != "clients" {
		t.Skip("needs independent clients: make test-clients")
	}
	needClients(t)
	l, e, ca := clientLab(t, clusterSite)
	formCluster(t, l)
	env := []string{"LAB_PASSWORD=" + testPassword, "OPENSSL_CONF=" + legacyOpenSSL(t)}
	for name, at := range map[string][]string{
		"http ntlm sealed": {"http://" + e.HTTP + "/wsman", "ntlm", `CONTOSO\deploy`, "-"},
		"https ntlm":       {"https://" + e.HTTPS + "/wsman", "ntlm", `CONTOSO\deploy`, ca},
		"https ntlm upn":   {"https://" + e.HTTPS + "/wsman", "ntlm", "deploy@contoso.com", ca},
		"https basic":      {"https://" + e.HTTPS + "/wsman", "basic", `CONTOSO\deploy`, ca},
	} {
		t.Run(name, func(t *testing.T) {
			var got clientAnswers
			client(t, &got, env, python, append(append([]string{"testdata/winrm_client.py"}, at...),
				"hostname", "sc query LanmanServer", "sc query NoSuchService",
				`reg query "HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion" /v CurrentVersion`,
				`reg query HKLM\SOFTWARE\Nothing`, "cluster group", "cluster group NoSuchGroup")...)
			if len(got.Answers) != 7 {
				t.Fatalf("%+v", got)
			}
			checkAnswers(t, func(i int) (string, int64) { return text(t, got.Answers[i].Out), got.Answers[i].Code })
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		for _, at := range [][]string{{"http://" + e.HTTP + "/wsman", "ntlm", `CONTOSO\deploy`, "-"},
			{"https://" + e.HTTPS + "/wsman", "basic", "deploy", ca}} {
			var got clientAnswers
			client(t, &got, []string{"LAB_PASSWORD=wrong", env[1]}, python,
				append(append([]string{"testdata/winrm_client.py"}, at...), "hostname")...)
			if !got.Refused {
				t.Errorf("%s: %+v", at[0], got)
			}
		}
	})
	t.Run("unsealed over http", func(t *testing.T) {
		var got clientAnswers
		client(t, &got, append(env, "LAB_ENCRYPTION=never"), python, "testdata/winrm_client.py", "http://"+e.HTTP+"/wsman",
			"ntlm", "deploy", "-", "hostname")
		if got.Status != 500 || got.Body != "" {
			t.Errorf("%+v", got)
		}
	})
}

// checkAnswers holds the answers to hostname, sc query of a service and of none, reg query of a
// value and of no key against what is documented: numbers and symbols, no sentences.
func checkAnswers(t *testing.T, answer func(i int) (out string, code int64)) {
	t.Helper()
	if out, code := answer(0); !strings.EqualFold(strings.TrimSpace(out), "n1") || code != 0 {
		t.Errorf("hostname: %q %d", out, code)
	}
	out, code := answer(1)
	for _, part := range []string{"SERVICE_NAME: LanmanServer", ": 4  RUNNING", "WIN32_EXIT_CODE    : 0  (0x0)"} {
		if !strings.Contains(out, part) {
			t.Errorf("sc query: no %q in %q", part, out)
		}
	}
	if code != 0 {
		t.Errorf("sc query: %d", code)
	}
	if out, code := answer(2); code != 1060 || !strings.Contains(out, "1060") {
		t.Errorf("sc query of no service: %q %d", out, code)
	}
	if out, code := answer(3); code != 0 || !strings.Contains(out, "CurrentVersion    REG_SZ    6.0") {
		t.Errorf("reg query: %q %d", out, code)
	}
	if _, code := answer(4); code != 1 {
		t.Errorf("reg query of no key: %d", code)
	}
	// a table with a row of dashes under its head, then name, node and state
	row := regexp.MustCompile(`(?mi)^-+ -+ -+\r\n(?:.*\r\n)*?Cluster Group +n1 +Online`)
	if out, code := answer(5); code != 0 || !row.MatchString(out) {
		t.Errorf("cluster group: %q %d", out, code)
	}
	if _, code := answer(6); code != 5013 {
		t.Errorf("cluster group of no group: %d", code)
	}
}

// TestTierClientsCodePage: text comes in the code page that the shell asked for.
func TestTierClientsCodePage(t *testing.T) {
	if os.Getenv("DEPLOY_TIER") != "clients" {
		t.Skip("needs independent clients: make test-clients")
	}
	needClients(t)
	_, e, _ := clientLab(t, nil)
	for page, want := range map[string]string{"65001": "c3a9", "850": "82", "1252": "e9", "932": "3f"} {
		var got clientAnswers
		client(t, &got, []string{"LAB_PASSWORD=" + testPassword, "LAB_CODEPAGE=" + page, "OPENSSL_CONF=" + legacyOpenSSL(t)},
			python,
			"testdata/winrm_client.py", "http://"+e.HTTP+"/wsman", "ntlm", "deploy", "-", "echo é")
		if len(got.Answers) != 1 || got.Answers[0].Out != want+"0d0a" {
			t.Errorf("%s: %+v", page, got)
		}
	}
}

// TestTierClientsNTLM: gss-ntlmssp logs on, seals, and opens what we sealed; what was changed or
// repeated is refused.
func TestTierClientsNTLM(t *testing.T) {
	if os.Getenv("DEPLOY_TIER") != "clients" {
		t.Skip("needs independent clients: make test-clients")
	}
	needClients(t)
	_, e, _ := clientLab(t, func(c *Config) {
		c.Accounts = append(c.Accounts, Account{User: `CONTOSO\jérôme`, Password: secret.New("Pässwörter-1")})
	})
	host, port, err := net.SplitHostPort(e.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		Logon, Status int
		Closed        bool
		Text          string
	}
	for _, x := range []struct {
		user, password, way string
		logon, status       int
	}{
		{"deploy", testPassword, "send", 200, 200},
		{"DEPLOY", testPassword, "send", 200, 200},
		{"jérôme", "Pässwörter-1", "send", 200, 200},
		{"deploy", "wrong", "send", 401, 0},
		{"nobody", testPassword, "send", 401, 0},
		{"deploy", testPassword, "flip", 200, 400},
		{"deploy", testPassword, "repeat", 200, 400},
	} {
		t.Run(x.user+" "+x.way, func(t *testing.T) {
			var got result
			client(t, &got, []string{"LAB_PASSWORD=" + x.password}, python, "testdata/ntlm_client.py", host, port, "CONTOSO",
				x.user, x.way)
			if got.Logon != x.logon || got.Status != x.status || got.Closed != (x.status == 400) {
				t.Errorf("%+v", got)
			}
			if x.status == 200 && (!strings.Contains(got.Text, "ResourceCreated") ||
				!strings.Contains(got.Text, "Name=\"ShellId\"")) {
				t.Errorf("%q", got.Text)
			}
		})
	}
}

// formCluster makes a cluster of n1 and n2, as a person at their consoles does.
func formCluster(t *testing.T, l *Lab) {
	t.Helper()
	l.world.Lock()
	defer l.world.Unlock()
	console := func(name string, want int, argv ...string) {
		t.Helper()
		r := machine.Exec(l.newCtx(t.Context(), l.world.Machine(name), `CONTOSO\deploy`, false, ""), argv, nil)
		if r.Code != want {
			t.Fatalf("%v on %s: %d %s%s", argv, name, r.Code, r.Stdout, r.Stderr)
		}
	}
	for _, n := range []string{"n1", "n2"} {
		console(n, 0, "servermanagercmd.exe", "-install", "Failover-Clustering")
	}
	console("n1", 0, "cluster.exe", "MBX", "/create", "/ipaddr:192.0.2.20,255.255.255.0,Local Area Connection",
		"/unattend")
	console("n1", 0, "cluster.exe", "/cluster:MBX", "/add:n2", "/unattend")
}

// clusterSite is the site of the tests with a domain controller.
func clusterSite(c *Config) {
	c.Site.Nodes = append(c.Site.Nodes, inventory.Node{Name: "dc01", Address: "192.0.2.5"})
	c.Site.Lab.Machines = map[string]inventory.LabMachine{"dc01": {DC: true}}
}

// TestTierClientsAnsible: ansible's winrm connection, as `ansible -m raw` uses it.
func TestTierClientsAnsible(t *testing.T) {
	if os.Getenv("DEPLOY_TIER") != "clients" {
		t.Skip("needs independent clients: make test-clients")
	}
	needClients(t)
	l, e, ca := clientLab(t, clusterSite)
	formCluster(t, l)
	ansible, err := exec.LookPath("ansible")
	if err != nil {
		t.Fatal("no ansible: apt-get install ansible")
	}
	for name, way := range map[string]map[string]string{
		"http ntlm sealed": {"scheme": "http", "transport": "ntlm", "at": e.HTTP},
		"https ntlm":       {"scheme": "https", "transport": "ntlm", "at": e.HTTPS},
		"https basic":      {"scheme": "https", "transport": "basic", "at": e.HTTPS},
	} {
		t.Run(name, func(t *testing.T) {
			host, port, _ := net.SplitHostPort(way["at"])
			vars, err := json.Marshal(map[string]any{"ansible_connection": "winrm", "ansible_shell_type": "powershell",
				"ansible_user":     `CONTOSO\deploy`,
				"ansible_password": testPassword, "ansible_winrm_scheme": way["scheme"],
				"ansible_winrm_transport": way["transport"],
				"ansible_host":            host, "ansible_port": port, "ansible_winrm_ca_trust_path": ca})
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "vars.json")
			if err := os.WriteFile(file, vars, 0o600); err != nil {
				t.Fatal(err)
			}
			answer := func(line string) string {
				cmd := exec.CommandContext(t.Context(), ansible, "all", "-i", "n1,", "-m", "raw", "-a", line, "-e", "@"+file, "-o")
				cmd.Env = append(os.Environ(), "OPENSSL_CONF="+legacyOpenSSL(t), "ANSIBLE_HOST_KEY_CHECKING=False",
					"ANSIBLE_NOCOLOR=1", "ANSIBLE_LOCAL_TEMP="+t.TempDir())
				out, err := cmd.CombinedOutput()
				if len(out) == 0 {
					t.Fatal(err)
				}
				return string(out)
			}
			for line, want := range map[string][]string{
				"hostname":              {"rc=0"},
				"sc query LanmanServer": {"RUNNING", "rc=0"},
				`reg query "HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion" /v CurrentVersion`: {"REG_SZ", "6.0", "rc=0"},
				"sc query NoSuchService": {"1060", `"rc": 1`}, // PowerShell tells no more of an exit code
				"cluster group":          {"Cluster Group", "Online", "rc=0"},
			} {
				out := answer(line)
				for _, w := range want {
					if !strings.Contains(out, w) {
						t.Errorf("%s: no %q in %s", line, w, out)
					}
				}
			}
		})
	}
}
