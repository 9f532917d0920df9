package playbooks_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deploy/internal/yamlx"
	"deploy/inventory"
	"deploy/playbooks"
)

// goodSite is what the bad playbooks are compiled with.
const goodSite = `site: s
playbook: x
inventory:
  nodes:
    - {name: node1, transport: local, roles: [cluster]}
`

// validate does what `deploy validate` does with a site file.
func validate(path string, data []byte) error {
	if strings.Contains(path, "playbook-") {
		pb, err := playbooks.Parse(path, data)
		if err != nil {
			return err
		}
		site, err := inventory.Parse("good.yaml", []byte(goodSite))
		if err != nil {
			return fmt.Errorf("the good site is not good: %w", err)
		}
		_, _, err = pb.Compile(site, testRegistry())
		return err
	}
	site, err := inventory.Parse(path, data)
	if err != nil {
		return err
	}
	pb, err := playbooks.Load(site)
	if err != nil {
		return err
	}
	_, _, err = pb.Compile(site, testRegistry())
	return err
}

// TestBadFiles: every file of testdata/bad says in its first lines what is wrong with it:
//
//	# want: LINE:COL | part of the message | part of the hint
//
// Every mistake must be one of the wanted, and the other way round: one mistake must not be reported twice.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d bad files: %v", len(files), err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, path, wanted(string(data)), validate(path, data))
		})
	}
}

type want struct{ place, msg, hint string }

func wanted(text string) []want {
	var out []want
	for _, line := range strings.Split(text, "\n") {
		spec, ok := strings.CutPrefix(line, "# want: ")
		if !ok {
			return out
		}
		f := strings.Split(spec+" | | ", "|")
		out = append(out, want{strings.TrimSpace(f[0]), strings.TrimSpace(f[1]), strings.TrimSpace(f[2])})
	}
	return out
}

func compare(t *testing.T, path string, wants []want, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("accepted")
	}
	all := yamlx.All(err)
	if len(all) != len(wants) {
		t.Errorf("%d mistakes reported, %d wanted:\n%v", len(all), len(wants), err)
	}
	for i, e := range all {
		if i >= len(wants) {
			break
		}
		w := wants[i]
		if got := fmt.Sprintf("%d:%d", e.Line, e.Col); got != w.place || e.File != path {
			t.Errorf("at %s:%s, wanted %s:\n%v", e.File, got, w.place, e)
		}
		if !strings.Contains(e.Msg, w.msg) || !strings.Contains(e.Hint, w.hint) {
			t.Errorf("wanted %q and hint %q:\n%v", w.msg, w.hint, e)
		}
		if e.Hint == "" {
			t.Errorf("no hint:\n%v", e)
		}
		if strings.Contains(e.Error(), "Pa55") {
			t.Errorf("shows a secret: %v", e)
		}
	}
}
