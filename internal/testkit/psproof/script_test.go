package psproof

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"deploy/internal/session/powershell/protocol"
	"deploy/internal/testkit/pslint"
)

// renamed are the names that stubs.cs stands in for. Nothing else of the script is changed.
var renamed = [][2]string{
	{"System.Management.", "DeployStub.Management."},
	{"System.DirectoryServices.", "DeployStub.Directory."},
	{"Microsoft.Win32.", "DeployStub.Win32."},
	{"System.Security.AccessControl.", "DeployStub.Acl."},
	{"System.Security.Principal.", "DeployStub.Principal."},
	{"New-Object -ComObject Schedule.Service", "New-Object DeployStub.Com.ScheduleService"},
	{"[Environment]::OSVersion.Version.Major", "[DeployStub.Machine]::Major"},
}

const (
	parameters = "param($reader, $nonce)\n"
	prelude    = ". ($env:PSPROOF_DATA + '/prelude.ps1')\n"
)

// script is the main script with the stand-ins in front of it.
func script() (string, error) {
	s := protocol.Script()
	for _, r := range renamed {
		if !strings.Contains(s, r[0]) {
			return "", fmt.Errorf("the script does not name %s any more: take its stand-in away", r[0])
		}
		s = strings.ReplaceAll(s, r[0], r[1])
	}
	return front(s)
}

func front(s string) (string, error) {
	if !strings.HasPrefix(s, parameters) {
		return "", fmt.Errorf("the script does not begin with %q", parameters)
	}
	return parameters + prelude + s[len(parameters):], nil
}

// file is one of the two scripts that the task scheduler starts, taken out of the main script as
// the node does.
func file(name string) (string, error) {
	m := regexp.MustCompile(`(?m)^\$deploy\['` + name + `'\] = '([^']+)'$`).FindStringSubmatch(protocol.Script())
	if m == nil {
		return "", fmt.Errorf("the main script carries no %s", name)
	}
	b, err := base64.StdEncoding.DecodeString(m[1])
	if err != nil {
		return "", err
	}
	s := string(b)
	if !strings.HasPrefix(s, parameters) {
		return s, nil // the runner of jobs names nothing that needs a stand-in
	}
	for _, r := range renamed {
		s = strings.ReplaceAll(s, r[0], r[1])
	}
	return front(s)
}

// preamble is resident.Preamble with the stand-ins: the script in base64, a line ".", the nonce.
func preamble(nonce string) ([]byte, error) {
	s, err := script()
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for rest := base64.StdEncoding.EncodeToString([]byte(s)); rest != ""; {
		n := min(len(rest), protocol.MaxLine)
		b.WriteString(rest[:n] + "\n")
		rest = rest[n:]
	}
	return []byte(b.String() + ".\n" + nonce + "\n"), nil
}

// Both scripts, and the stand-ins' place in them, can be made. This needs no PowerShell.
func TestScriptIsStillTheOneStoodInFor(t *testing.T) {
	if _, err := script(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"runner", "once"} {
		if s, err := file(name); err != nil || len(s) < 500 {
			t.Errorf("%s: %d bytes, %v", name, len(s), err)
		}
	}
	s, _ := script()
	for _, windows := range []string{"System.Management.", "ComObject", "Microsoft.Win32"} {
		if strings.Contains(s, windows) {
			t.Errorf("%s is still named", windows)
		}
	}
}

// What the tier adds of its own must parse, too: nobody here can run it.
func TestTierScriptsOfTheProof(t *testing.T) {
	g := pslint.Need(t)
	data, err := folder()
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(data, "prelude.ps1"))
	if err != nil {
		t.Fatal(err)
	}
	main, err := script()
	if err != nil {
		t.Fatal(err)
	}
	once, err := file("once")
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{"prelude.ps1": string(before), "the module": moduleText(),
		"the main script with stand-ins": main, "once with stand-ins": once}
	for name, source := range sources {
		trees, err := g.Parse(t.Context(), source)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range pslint.SyntaxErrors(trees[0]) {
			t.Errorf("%s: %s", name, f)
		}
	}
}
