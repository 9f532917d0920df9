package pslint

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unicode/utf16"
)

//go:embed grammar/package.json grammar/package-lock.json grammar/parse.mjs
var files embed.FS

// Grammar is an installed grammar.
type Grammar struct{ dir string }

// Install puts the pinned packages into a folder below cache, once, and returns the grammar. It
// needs Node and npm; npm holds what it downloads against the hashes of the lock file.
func Install(ctx context.Context, cache string) (*Grammar, error) {
	sum := sha256.New()
	names := []string{"package.json", "package-lock.json", "parse.mjs"}
	texts := map[string][]byte{}
	for _, n := range names {
		b, err := files.ReadFile("grammar/" + n)
		if err != nil {
			return nil, fmt.Errorf("cannot install the grammar: %w", err)
		}
		texts[n] = b
		sum.Write(b)
	}
	dir := filepath.Join(cache, "powershell-grammar-"+hex.EncodeToString(sum.Sum(nil))[:16])
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err == nil {
		return &Grammar{dir: dir}, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, fmt.Errorf("cannot install the grammar: %w", err)
	}
	temp, err := os.MkdirTemp(cache, ".grammar-")
	if err != nil {
		return nil, fmt.Errorf("cannot install the grammar: %w", err)
	}
	defer func() { _ = os.RemoveAll(temp) }()
	for n, b := range texts {
		if err := os.WriteFile(filepath.Join(temp, n), b, 0o644); err != nil {
			return nil, fmt.Errorf("cannot install the grammar: %w", err)
		}
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = temp
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cannot install the grammar: npm: %w\n%s", err, bytes.TrimSpace(out))
	}
	// somebody else may have been faster: what is there then is the same
	if err := os.Rename(temp, dir); err != nil {
		if _, seen := os.Stat(filepath.Join(dir, "node_modules")); seen != nil {
			return nil, fmt.Errorf("cannot install the grammar: %w", err)
		}
	}
	return &Grammar{dir: dir}, nil
}

// Node is one node of a syntax tree.
type Node struct {
	Type     string // as the grammar names it: "command", "variable", "ERROR"
	Text     string // what it covers
	Line     int    // where it begins, from 1
	Missing  bool   // the grammar put it in to go on
	Parent   *Node
	Children []*Node
}

// Parse returns the trees of scripts, in their order.
func (g *Grammar) Parse(ctx context.Context, sources ...string) ([]*Node, error) {
	in, err := json.Marshal(sources)
	if err != nil {
		return nil, fmt.Errorf("cannot parse the scripts: %w", err)
	}
	// the optimising compiler takes ten seconds over the grammar's one large function; the plain one
	// is fast enough to run it
	cmd := exec.CommandContext(ctx, "node", "--liftoff-only", filepath.Join(g.dir, "parse.mjs"))
	cmd.Stdin = bytes.NewReader(in)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("cannot parse the scripts: node: %w\n%s", err, bytes.TrimSpace(errs.Bytes()))
	}
	var raw []rawNode
	if err := json.Unmarshal(out.Bytes(), &raw); err != nil {
		return nil, fmt.Errorf("cannot parse the scripts: %w", err)
	}
	if len(raw) != len(sources) {
		return nil, fmt.Errorf("cannot parse the scripts: %d trees for %d scripts", len(raw), len(sources))
	}
	trees := make([]*Node, len(raw))
	for i := range raw {
		source := utf16.Encode([]rune(sources[i]))
		lines := make([]int, len(source)+1)
		for j, u := range source {
			lines[j+1] = lines[j]
			if u == '\n' {
				lines[j+1]++
			}
		}
		trees[i] = raw[i].build(source, lines, nil)
	}
	return trees, nil
}

type rawNode struct {
	kind       string
	start, end int
	flags      int
	children   []rawNode
}

func (r *rawNode) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&r.kind, &r.start, &r.end, &r.flags, &r.children})
}

func (r rawNode) build(source []uint16, lines []int, parent *Node) *Node {
	n := &Node{Type: r.kind, Text: string(utf16.Decode(source[r.start:r.end])), Line: 1 + lines[r.start],
		Missing: r.flags&2 != 0, Parent: parent}
	for _, c := range r.children {
		n.Children = append(n.Children, c.build(source, lines, n))
	}
	return n
}

// Walk calls f for the node and all below it.
func (n *Node) Walk(f func(*Node)) {
	f(n)
	for _, c := range n.Children {
		c.Walk(f)
	}
}

// Find returns the first node of one of the types in the tree, the node itself included; nil when
// there is none.
func (n *Node) Find(types ...string) *Node {
	for _, t := range types {
		if n.Type == t {
			return n
		}
	}
	for _, c := range n.Children {
		if found := c.Find(types...); found != nil {
			return found
		}
	}
	return nil
}

// child returns the first direct child of a type.
func (n *Node) child(kind string) *Node {
	for _, c := range n.Children {
		if c.Type == kind {
			return c
		}
	}
	return nil
}

// inside says that one of the node's ancestors has one of the types; the search ends at a node of
// type end.
func (n *Node) inside(types []string, end ...string) bool {
	for p := n.Parent; p != nil; p = p.Parent {
		for _, t := range types {
			if p.Type == t {
				return true
			}
		}
		for _, t := range end {
			if p.Type == t {
				return false
			}
		}
	}
	return false
}

// skin takes the wrappers off an expression that has one part only.
func (n *Node) skin() *Node {
	for len(n.Children) == 1 && n.Type != "variable" {
		n = n.Children[0]
	}
	return n
}

// SyntaxErrors are the places that the grammar does not know.
func SyntaxErrors(tree *Node) []Finding {
	var out []Finding
	tree.Walk(func(n *Node) {
		if n.Type == "ERROR" || n.Missing {
			out = append(out, Finding{Rule: "syntax", Line: n.Line, Text: short(n.Text)})
		}
	})
	return out
}

func short(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	if len(s) > 100 {
		s = s[:100]
	}
	return s
}
