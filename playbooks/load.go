package playbooks

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/yamlx"
	"deploy/internal/yamlx/shape"
	"deploy/inventory"
)

//go:embed shipped
var shipped embed.FS

// Shipped lists the playbooks that come with deploy, in alphabetical order.
func Shipped() []string {
	entries, err := shipped.ReadDir("shipped")
	if err != nil {
		return nil // the directory is embedded: it is always there
	}
	var out []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".yaml"); ok {
			out = append(out, name)
		}
	}
	return out
}

// Source returns the bytes of a shipped playbook.
func Source(name string) ([]byte, error) {
	data, err := shipped.ReadFile("shipped/" + name + ".yaml")
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("there is no shipped playbook %q", name), shape.Suggest(name, Shipped()))
	}
	return data, nil
}

// Load reads the playbook that a site names: a shipped one by its name, or a file (with a slash or
// the ending .yaml or .yml) relative to the site file.
func Load(site *inventory.Site) (*Playbook, error) {
	name := site.Playbook
	if !strings.ContainsAny(name, `/\`) && !strings.HasSuffix(name, ".yaml") && !strings.HasSuffix(name, ".yml") {
		data, err := Source(name)
		if err != nil {
			return nil, siteError(site, "there is no shipped playbook %q",
				shape.Suggest(name, Shipped())+"; a file of your own is written ./"+name+".yaml", name)
		}
		return Parse("playbook "+name, data)
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(site.Path), path)
	}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, siteError(site, "there is no playbook %s", "the path starts at the site file", path)
	case err != nil:
		return nil, fmt.Errorf("cannot read the playbook: %w", err)
	}
	return Parse(path, data)
}

func siteError(site *inventory.Site, format, hintText string, args ...any) error {
	at := site.Positions["playbook"]
	return &yamlx.Error{File: site.Path, Line: at.Line, Col: at.Col, Msg: fmt.Sprintf(format, args...), Hint: hintText}
}
