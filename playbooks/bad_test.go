package playbooks_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
lab: {os: '2008', machines: {node1: {}}}
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
// Every mistake must be one of the wanted, and the other way round: one mistake must not be
// reported twice.
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
		if strings.Contains(e.Error(), "Pa55") || strings.Contains(e.Error(), "5555555") {
			t.Errorf("shows a secret: %v", e)
		}
	}
}

// TestGeneratedBadFiles: those that nobody wants in a repository.
func TestGeneratedBadFiles(t *testing.T) {
	junk := make([]byte, 0, 10<<20)
	for i := 0; len(junk) < 10<<20; i++ {
		junk = fmt.Appendf(junk, "key%d: [a, b, c]\n", i)
	}
	half := append([]byte("site: s\nplaybook: p\nparameters:\n"), junk[:900<<10]...)
	for name, c := range map[string]struct {
		data []byte
		want want
	}{
		"10 MB":        {junk, want{"1:1", "more than the 1048576 allowed", "check that this is the right file"}},
		"program":      {[]byte("MZ\x90\x00\x03\x00\x00\x00\x04"), want{"1:3", "byte 0x90 is not UTF-8 text", "UTF-8"}},
		"gzip":         {[]byte("\x1f\x8b\x08\x00"), want{"1:1", "control character 0x1f", "the path of a YAML file"}},
		"UTF-16":       {[]byte("\xfe\xff\x00s"), want{"1:1", "UTF-16", "UTF-8"}},
		"nothing":      {nil, want{"1:1", "the file is empty", "examples"}},
		"many values":  {half, want{"", "expands to more than 100000 values", "anchors"}},
		"long key":     {[]byte(strings.Repeat("k", 500_000) + ": 1\n"), want{"1:1", "", ""}},
		"deep and big": {[]byte(strings.Repeat("{a: ", 250_000)), want{"", "", ""}},
	} {
		start := time.Now()
		_, err := inventory.Parse("site.yaml", c.data)
		all := yamlx.All(err)
		if len(all) == 0 {
			t.Errorf("%s: %v", name, err)
			continue
		}
		e := all[0]
		if got := fmt.Sprintf("%d:%d", e.Line, e.Col); c.want.place != "" && got != c.want.place {
			t.Errorf("%s: at %s, not %s", name, got, c.want.place)
		}
		if !strings.Contains(e.Msg, c.want.msg) || !strings.Contains(e.Hint, c.want.hint) || e.Hint == "" {
			t.Errorf("%s: %.300v", name, e)
		}
		if len(err.Error()) > 20_000 {
			t.Errorf("%s: a message of %d bytes", name, len(err.Error()))
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%s took %s", name, d)
		}
	}
}
