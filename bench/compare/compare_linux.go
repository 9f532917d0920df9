package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"deploy/internal/testkit/linuxnodes"
)

// cell is one combination, and who is to try it.
type cell struct {
	nodes, steps int
	delay        time.Duration // added to a round trip
	tools        []string
}

// usual is what is measured when nothing is said: half an hour on two cores.
func usual() []cell {
	all := toolNames()
	own := []string{"floor", "deploy"}
	const ten, fifty = 10 * time.Millisecond, 50 * time.Millisecond
	return []cell{
		{1, 1, 0, all}, {1, 40, 0, all}, {1, 200, 0, own},
		{10, 1, 0, all}, {10, 40, 0, []string{"floor", "deploy", "placing", "pipelining", "mitogen", "master"}},
		{10, 200, 0, own},
		{50, 1, 0, own}, {50, 40, 0, []string{"floor", "deploy", "placing"}}, {50, 200, 0, own},
		{1, 1, ten, own}, {1, 40, ten, []string{"floor", "deploy", "placing", "mitogen", "master"}}, {1, 200, ten, own},
		{10, 40, ten, own}, {50, 40, ten, own},
		{1, 1, fifty, own}, {1, 40, fifty, []string{"floor", "deploy", "placing", "pipelining", "mitogen", "master"}},
		{1, 200, fifty, own}, {10, 40, fifty, own}, {10, 200, fifty, own},
		{50, 40, fifty, own},
	}
}

// short is a look with every tool.
func short() []cell {
	few := []string{"floor", "deploy", "placing", "pipelining", "mitogen", "master"}
	return []cell{{1, 10, 0, toolNames()}, {10, 10, 0, few}, {10, 200, 0, []string{"floor", "deploy"}},
		{1, 10, 50 * time.Millisecond, few}}
}

func product(nodes, counts []int, delays []time.Duration, tools []string) []cell {
	var out []cell
	for _, d := range delays {
		for _, n := range nodes {
			for _, s := range counts {
				out = append(out, cell{n, s, d, tools})
			}
		}
	}
	return out
}

// result is what a tool took for a cell. A tool that has only a first run has no again.
type result struct {
	cell
	tool         string
	first, again *cost
}

// comparison is one run of this program.
type comparison struct {
	t              testing.TB // for the lab
	out, note      io.Writer
	deploy, agents string // the program to measure, and where its agents lie; "" builds them
	keep           string

	lab        *linuxnodes.Lab
	dir        string // short: sockets lie in it
	key, known string // files for ssh
	results    []result
}

// run measures all cells and prints what came out.
func (c *comparison) run(ctx context.Context, cells []cell) error {
	most := 0
	for _, x := range cells {
		most = max(most, x.nodes)
	}
	for _, p := range []string{"ansible-playbook", "ssh", "xargs"} {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("cannot compare: there is no %s: apt-get install ansible ansible-mitogen openssh-client findutils",
				p)
		}
	}
	var err error
	if c.dir, err = os.MkdirTemp("", "cmp-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(c.dir) }()
	if c.keep == "" {
		c.keep = c.dir
	}
	if err := c.build(ctx); err != nil {
		return err
	}
	c.lab = linuxnodes.New(c.t, linuxnodes.Options{Plain: most, DiskMB: 64})
	if err := c.lab.Wait(ctx); err != nil {
		return err
	}
	if err := c.papers(); err != nil {
		return err
	}
	c.head()
	delay := time.Duration(0)
	for _, x := range cells {
		if x.delay != delay {
			if err := c.slow(ctx, x.delay); err != nil {
				return err
			}
			delay = x.delay
		}
		for _, t := range tools() {
			if !slices.Contains(x.tools, t.name) {
				continue
			}
			_, _ = fmt.Fprintf(c.note, "%s: %d nodes, %d steps, %s\n", t.name, x.nodes, x.steps, x.delay)
			r, err := c.measure(ctx, x, t)
			switch {
			case err == nil:
			case t.agent || t.idle || ctx.Err() != nil:
				return fmt.Errorf("%s with %d nodes and %d steps: %w", t.name, x.nodes, x.steps, err)
			default:
				// that another's program did not come through is a result too
				_, _ = fmt.Fprintln(c.note, err)
				c.failed(x, t)
				continue
			}
			c.results = append(c.results, r)
			c.row(r)
		}
	}
	c.foot()
	return nil
}

// build makes what is to be measured, as a release does.
func (c *comparison) build(ctx context.Context) error {
	one := func(out string, args ...string) error {
		cmd := exec.CommandContext(ctx, "go",
			append(append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", out}, args...), "deploy/cmd/deploy")...)
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build the program: %w\n%s", err, text)
		}
		return nil
	}
	if c.deploy == "" {
		c.deploy = filepath.Join(c.dir, "deploy")
		if err := one(c.deploy); err != nil {
			return err
		}
	}
	if c.agents == "" {
		c.agents = filepath.Join(c.dir, "agents")
		return one(filepath.Join(c.agents, "deploy-agent-linux-amd64"), "-tags", "agentonly")
	}
	return nil
}

// papers writes the key and the host keys where every tool finds them.
func (c *comparison) papers() error {
	key, err := os.ReadFile(c.lab.Key())
	if err != nil {
		return err
	}
	c.key, c.known = filepath.Join(c.dir, "key"), filepath.Join(c.dir, "known_hosts")
	var b strings.Builder
	for _, n := range c.lab.Nodes() {
		k, err := n.HostKey()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %s", n.Addr, ssh.MarshalAuthorizedKey(k))
	}
	return errors.Join(os.WriteFile(c.key, key, 0o600), os.WriteFile(c.known, []byte(b.String()), 0o600))
}

// each does something with some nodes, eight at a time.
func each(nodes []*linuxnodes.Node, f func(n *linuxnodes.Node) error) error {
	errs := make([]error, len(nodes))
	turn := make(chan struct{}, 8)
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			errs[i] = f(n)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// slow holds every frame back, half of the time each way.
func (c *comparison) slow(ctx context.Context, d time.Duration) error {
	return each(c.lab.Nodes(), func(n *linuxnodes.Node) error {
		if d == 0 {
			n.Undelay()
		} else if err := n.Delay(d/2, 0, 0); err != nil {
			return err
		}
		return n.WaitSSH(ctx) // which also pays for ARP
	})
}

// enough is when a run need not be repeated: the median of three is taken of shorter ones.
const enough = 4 * time.Second

// measure plays one tool in one cell. The nodes must be in the desired state after each run, and
// untouched by one that had nothing to do.
func (c *comparison) measure(ctx context.Context, x cell, t tool) (result, error) {
	r := result{cell: x, tool: t.name}
	nodes := c.lab.Nodes()[:x.nodes]
	var firsts, agains []cost
	for len(firsts) == 0 || len(firsts) < 3 && firsts[0].wall < enough {
		dir := filepath.Join(c.keep, fmt.Sprintf("%s-%d-%d-%d-%d", t.name, x.nodes, x.steps, x.delay.Milliseconds(),
			len(firsts)))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return r, err
		}
		s, err := t.start(&job{c, nodes, x.steps, dir})
		if err != nil {
			return r, err
		}
		// each measurement is a site of its own, with its own journal
		wipe := "rm -rf " + target + " /var/lib/deploy/owner; mkdir " + target
		if t.cold {
			wipe += "; rm -rf /root/.cache/deploy /var/lib/deploy"
		}
		if err := each(nodes, func(n *linuxnodes.Node) error {
			_,
				err := n.Exec(ctx, "sh", "-c", wipe)
			return err
		}); err != nil {
			return r, err
		}
		log := filepath.Join(dir, "output")
		play := func() (cost, error) {
			x, err := measured(ctx, c.lab, nodes, s.argv, s.env, dir, log)
			if err == nil && t.agent && x.agent == 0 {
				err = errors.New("it worked without its agent")
			}
			return x, err
		}
		if t.warm {
			// what it looks at is of no account here: it leaves its program on the nodes
			s := started{append([]string{s.argv[0], "plan"}, s.argv[3:]...), s.env}
			if _, err := measured(ctx, c.lab, nodes, s.argv, s.env, dir, log); err != nil && !hasChanges(err) {
				return r, err
			}
		}
		first, err := play()
		if err != nil {
			return r, err
		}
		firsts = append(firsts, first)
		if t.idle {
			continue
		}
		was, err := look(ctx, nodes, x.steps)
		if err != nil {
			return r, fmt.Errorf("after the first run: %w", err)
		}
		if t.once {
			continue
		}
		again, err := play()
		if err != nil {
			return r, err
		}
		agains = append(agains, again)
		is, err := look(ctx, nodes, x.steps)
		if err != nil {
			return r, fmt.Errorf("after the second run: %w", err)
		}
		if is != was {
			return r, errors.New("the run that had nothing to do touched files")
		}
	}
	r.first, r.again = median(firsts), median(agains)
	return r, nil
}

// hasChanges says that a plan ended as one does that found something to do.
func hasChanges(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == 2
}

// median is the run in the middle by its time; nil of none.
func median(runs []cost) *cost {
	if len(runs) == 0 {
		return nil
	}
	slices.SortFunc(runs, func(a, b cost) int { return int(a.wall - b.wall) })
	return &runs[len(runs)/2]
}

// look checks the files of all nodes, and returns a sign of their inodes and times.
func look(ctx context.Context, nodes []*linuxnodes.Node, steps int) (string, error) {
	h := sha256.New()
	for i := range steps {
		_, _ = io.WriteString(h, content(i)+"\n")
	}
	want := hex.EncodeToString(h.Sum(nil)) + "  -\n644 root\n"
	signs := make([]string, len(nodes))
	var mu sync.Mutex
	err := each(nodes, func(n *linuxnodes.Node) error {
		got, err := n.Exec(ctx, "sh", "-c", "cd "+target+" && cat * | sha256sum && stat -c '%a %U' * | sort -u && stat -c "+
			"'%n %i %Y %Z' * | sha256sum")
		if err != nil {
			return err
		}
		sign, ok := strings.CutPrefix(got, want)
		if !ok {
			return fmt.Errorf("the files on %s are not in the desired state: %q", n.Name, got)
		}
		mu.Lock()
		defer mu.Unlock()
		signs[slices.Index(nodes, n)] = sign
		return nil
	})
	return strings.Join(signs, ""), err
}
