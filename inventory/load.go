package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"deploy/internal/hint"
	"deploy/internal/secret"
	"deploy/internal/yamlx"
	"deploy/internal/yamlx/shape"
)

// Load reads a site file. Nothing else is touched, save that files named by `ca` and `certificate`
// are read for the digest. The error holds every mistake, each with file, line, column and where
// possible a hint.
func Load(path string) (*Site, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, hint.Wrap(fmt.Errorf("cannot read the site file: %w", err),
				"give the path of a site file; examples/ has some to start from")
		}
		return nil, fmt.Errorf("cannot read the site file: %w", err)
	}
	site, err := Parse(path, data)
	if err != nil {
		return nil, err
	}
	site.digestFiles()
	return site, nil
}

// Parse reads the bytes of a site file; name is used in messages and to find what stands beside it.
func Parse(name string, data []byte) (*Site, error) {
	doc, err := yamlx.Parse(name, data, yamlx.Limits{})
	if err != nil {
		return nil, err
	}
	list := &yamlx.List{}
	if doc.Root.Kind != yamlx.Map {
		list.At(name, doc.Root, "begin with `site: NAME`", "a site file is a map of keys, this is %s", doc.Root.What())
		return nil, list.Err()
	}
	r := &reader{file: name, list: list, root: doc.Root}
	site := r.site()
	if err := list.Err(); err != nil {
		return nil, err
	}
	site.Path, site.Source, site.Tree = name, data, doc.Root
	site.Warnings = append(doc.Warnings, r.warnings...)
	return site, nil
}

type reader struct {
	file     string
	list     *yamlx.List
	root     *yamlx.Node
	warnings []*yamlx.Error
}

func (r *reader) site() *Site {
	inv := r.root.Get("inventory")
	check := &shape.Checker{File: r.file, List: r.list, Nodes: nodeNames(inv.Get("nodes")), Credentials: []string{}}
	if c := r.root.Get("credentials"); c != nil {
		check.Credentials = append(check.Credentials, c.Keys...)
	}
	m, _ := check.Check(r.root, siteType(anyParameters())).(map[string]any)
	site := &Site{
		Name: text(m, "site"), Playbook: text(m, "playbook"),
		Fetch: r.fetch(), Credentials: map[string]Credential{}, Parameters: object(m, "parameters"),
		Positions: positions(r.root),
	}
	for name, c := range object(m, "credentials") {
		site.Credentials[name] = r.credential(name, asMap(c))
	}
	r.nodes(site, object(m, "inventory"), inv)
	r.lab(site, object(m, "lab"))
	return site
}

func nodeNames(nodes *yamlx.Node) []string {
	out := []string{}
	if nodes != nil {
		for _, n := range nodes.Items {
			if name := n.Get("name").Text(); name != "" {
				out = append(out, name)
			}
		}
	}
	return out
}

func positions(root *yamlx.Node) Positions {
	out := Positions{}
	root.Walk("", func(path string, n *yamlx.Node) {
		line, col := n.Pos()
		out[path] = Position{line, col}
	})
	return out
}

func (r *reader) credential(name string, m map[string]any) Credential {
	c := Credential{Username: text(m, "username"), Password: ref(m, "password"), KeyFile: text(m, "key_file"),
		Passphrase: ref(m, "passphrase"), Agent: truth(m, "agent")}
	at := r.root.Get("credentials").Get(name)
	switch {
	case m == nil || at.IsNull():
		r.list.At(r.file, at, "{username: ..., password: {env: ...}}", "credential %q is empty", name)
	case !c.Passphrase.IsZero() && c.KeyFile == "":
		r.list.At(r.file, at.Get("passphrase"), "give key_file as well", "credential %q has a passphrase but no key_file",
			name)
	case !c.Password.IsZero() && c.Username == "":
		r.list.At(r.file, at, `add username: 'CONTOSO\deploy'`, "credential %q has a password but no username", name)
	}
	return c
}

func ref(m map[string]any, key string) secret.Ref {
	v := object(m, key)
	return secret.Ref{Env: text(v, "env"), File: text(v, "file"), Command: texts(v, "command"), Prompt: text(v, "prompt")}
}

// The helpers below read plain data that the shape has checked. After a mistake they give zero
// values.

func text(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}

func truth(m map[string]any, key string) bool {
	b, _ := m[key].(bool)
	return b
}

func whole(m map[string]any, key string) int {
	i, _ := m[key].(int)
	return i
}

func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func object(m map[string]any, key string) map[string]any { return asMap(m[key]) }

func listOf(m map[string]any, key string) []any {
	l, _ := m[key].([]any)
	return l
}

func texts(m map[string]any, key string) []string {
	var out []string
	for _, v := range listOf(m, key) {
		s, _ := v.(string)
		out = append(out, s)
	}
	return out
}

// path makes a file name of the site absolute to where the site file stands.
func (s *Site) path(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(s.Path), name)
}
