package psproof

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"deploy/internal/session/powershell/protocol"
)

// scheduled runs one of the two scripts that the task scheduler starts, as it starts them, with a
// data file beside it.
func scheduled(t *testing.T, program string, p *place, name, id, job string) (base string, code int) {
	t.Helper()
	text, err := file(name)
	if err != nil {
		t.Fatal(err)
	}
	base = filepath.Join(p.dir, id)
	for end, content := range map[string]string{".ps1": text, ".job": job} {
		if _, err := os.Stat(base + end); err == nil {
			continue // a second start
		}
		if err := os.WriteFile(base+end, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-NoProfile", "-NonInteractive", "-InputFormat", "None", "-ExecutionPolicy",
		"Bypass", "-File", base+".ps1")
	cmd.Env = p.env
	if runtime.GOOS != "windows" {
		cmd.Env = append(cmd.Env, "SystemRoot="+filepath.Join(p.dir, "root"), "SystemDrive="+p.dir)
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(out) > 0 {
		t.Logf("%s said: %s", name, out)
	}
	return base, cmd.ProcessState.ExitCode()
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// TestTierPowershellRunner: the runner of jobs writes output and exit code, once.
func TestTierPowershellRunner(t *testing.T) {
	program := need(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		program, mode, limit string
		exit                 string
		output               string // how it begins
		size                 int
	}{
		"both streams":    {self, "flood", "60", "3", "", 600_000},
		"reads its stdin": {self, "stdin", "60", "0", "0 " + sum(""), 0},
		"never ends":      {self, "sleep", "2", "1460", "", 0},
		"no such program": {filepath.Join(t.TempDir(), "none"), "x", "60", "2", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			var job strings.Builder
			for _, field := range []string{c.program, "proof-child " + c.mode, p.dir, c.limit} {
				job.WriteString(base64.StdEncoding.EncodeToString([]byte(field)) + "\n")
			}
			begun := time.Now()
			base, code := scheduled(t, program, p, "runner", "j1", job.String())
			if code != 0 {
				t.Errorf("the runner ended with %d", code)
			}
			if got := content(t, base+".exit"); got != c.exit {
				t.Errorf("the exit file holds %q, expected %q", got, c.exit)
			}
			out := content(t, base+".out")
			if !strings.HasPrefix(out, c.output) || c.size > 0 && len(out) != c.size {
				t.Errorf("%d bytes of output: %.100q", len(out), out)
			}
			if time.Since(begun) > time.Minute {
				t.Error("the limit did not end the program")
			}
			// a second start finds the lock and leaves everything as it is
			if err := os.WriteFile(base+".exit", []byte("kept"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, code := scheduled(t, program, p, "runner", "j1", ""); code != 0 || content(t, base+".exit") != "kept" {
				t.Errorf("a second start ran the job again (code %d)", code)
			}
		})
	}
}

// TestTierPowershellOnce: the script that serves one cmdlet for another user leaves the answer's
// frames in a file.
func TestTierPowershellOnce(t *testing.T) {
	program := need(t)
	for name, c := range map[string]struct {
		args   map[string]any
		failed string
		row    map[string]any
	}{
		"rows":         {cmdlet("Get-TrapState", "Text", "Preference"), "", obj("Text", "1.5", "Preference", "Stop")},
		"soft error":   {cmdlet("Get-TrapSoft"), "any", nil},
		"break":        {cmdlet("Get-TrapBreak"), "deploy.Interrupted", nil},
		"unknown":      {cmdlet("Get-NoSuchCommand"), "deploy.Unsupported", nil},
		"foreign text": {cmdlet("Get-TrapNoise", "Length"), "", obj("Length", int64(5))},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			job, err := protocol.Encode(obj("verb", "cmdlet", "args", c.args))
			if err != nil {
				t.Fatal(err)
			}
			base, _ := scheduled(t, program, p, "once", "o1", job)
			if got := content(t, base+".exit"); got != "0" {
				t.Errorf("the exit file holds %q", got)
			}
			frames := protocol.NewReader(strings.NewReader(content(t, base+".out")), "-")
			f, err := frames.Next()
			switch {
			case err != nil && !errors.Is(err, io.EOF):
				t.Fatal(err)
			case c.failed != "":
				m, _ := f.Value.(map[string]any)
				if f.Kind != protocol.KindError || c.failed != "any" && m["id"] != c.failed {
					t.Errorf("a frame %q with %v", f.Kind, f.Value)
				}
			default:
				list, _ := f.Value.([]any)
				if f.Kind != protocol.KindRows || len(list) != 1 {
					t.Fatalf("a frame %q with %v", f.Kind, f.Value)
				}
				for k, want := range c.row {
					if got := list[0].(map[string]any)[k]; got != want {
						t.Errorf("%s is %v, expected %v", k, got, want)
					}
				}
			}
		})
	}
}
