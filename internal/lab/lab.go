// Package lab runs emulated machines behind real WinRM and SSH servers on loopback, so that a site
// can be tried without Windows. It combines the emulation (package machine and its families), the
// servers (winrmd, sshd) and the shells between them (front). It stores the machines' state in a
// directory, switches their power, and injects faults.
package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"deploy/internal/lab/directory"
	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
	"deploy/inventory"
)

// Config says which lab to run. Site and Dir must be set.
type Config struct {
	Site     *inventory.Site
	Dir      string // where the machines' state is kept; made when it is not there
	Accounts []Account
	Faults   []string      // see FaultKinds
	Latency  time.Duration // added to every request
	// Module are what machines can do; nil is everything there is.
	Module *machine.Module
	// Agent is the agent that may work on machines new enough for it; nil: none is known there.
	Agent *Agent
	// Outside reaches servers beyond the lab, for the machines' curl.exe; nil: they reach none.
	Outside http.RoundTripper
	// Speed is how much faster emulated waiting goes than the clock; 0 means 100. Longest is the
	// longest that one wait really takes, a restart's boot for one; 0 means 300 ms. The clock itself
	// is never moved.
	Speed   float64
	Longest time.Duration
	// Bastions are nodes whose SSH server forwards connections to the other nodes' SSH servers, by
	// their inventory addresses.
	Bastions []string
	Log      *slog.Logger
}

// Defaults of Config.
const (
	defaultSpeed   = 100
	defaultLongest = 300 * time.Millisecond
)

// Lab is a running lab.
type Lab struct {
	cfg      Config
	log      *slog.Logger
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup // background work on machines: jobs, restarts
	b        *machine.Module
	world    *model.World
	accounts accounts
	hosts    map[string]*host // by lower-case name
	lock     *flock.Flock
	store    *store

	mu    sync.Mutex
	err   error // the first failure to keep the state
	close sync.Once
}

// Start runs the lab of a site until Close. A lab that ran before goes on with its machines as they
// were left; machines that were off are switched on, and jobs that were running are lost. ctx
// bounds the start alone.
func Start(ctx context.Context, cfg Config) (*Lab, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Speed <= 0 {
		cfg.Speed = defaultSpeed
	}
	if cfg.Longest <= 0 {
		cfg.Longest = defaultLongest
	}
	fl, err := lock(cfg.Dir)
	if err != nil {
		return nil, err
	}
	l := &Lab{cfg: cfg, log: cfg.Log, lock: fl, hosts: map[string]*host{}}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	if err := l.start(ctx); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("cannot start the lab of %s: %w", cfg.Site.Name, err)
	}
	return l, nil
}

func (l *Lab) start(ctx context.Context) error {
	// what another process left there is no longer true
	if err := os.Remove(filepath.Join(l.cfg.Dir, endpointsFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	k, err := loadKeys(l.cfg.Dir)
	if err != nil {
		return err
	}
	if err := l.loadWorld(); err != nil {
		return err
	}
	if l.store, err = openStore(l.cfg.Dir); err != nil {
		return err
	}
	l.accounts = newAccounts(l.cfg.Accounts, l.world)
	if f := l.world.Forest; f != nil {
		f.Users = map[string]string{}
		for _, a := range l.cfg.Accounts {
			if _, full, ok := l.accounts.find(a.User, ""); ok {
				f.Users[strings.ToLower(full)] = a.Password.Reveal()
			}
		}
	}
	l.b = l.withPower(l.cfg.Module)
	if err := mergeFaults(l.world, l.cfg.Faults); err != nil {
		return err
	}
	for _, m := range l.world.Machines {
		h, err := newHost(l, m, k)
		if err != nil {
			return err
		}
		l.hosts[strings.ToLower(m.Name)] = h
	}
	l.world.Lock()
	l.powerOn()
	l.save(false)
	l.world.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(endpoints{PID: os.Getpid(), Machines: l.Endpoints()}, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(writeFile(filepath.Join(l.cfg.Dir, endpointsFile), append(raw, '\n'), 0o600), l.failure())
}

func (l *Lab) loadWorld() error {
	w, err := loadWorld(l.cfg.Dir)
	if err != nil {
		return err
	}
	if w == nil {
		if w, err = machine.Deliver(l.cfg.Site); err != nil {
			return err
		}
		directory.Seed(w)
	} else {
		machine.LoseJobs(w)
	}
	l.world = w
	return nil
}

// Endpoints tells where each machine is served, by node name.
func (l *Lab) Endpoints() map[string]Endpoint {
	out := map[string]Endpoint{}
	for _, h := range l.hosts {
		out[h.m.Name] = h.endpoint
	}
	return out
}

// World is the lab's state. Take its lock before looking.
func (l *Lab) World() *model.World { return l.world }

// History is what was asked of the machines since the lab was started, oldest first.
func (l *Lab) History() []model.HistoryEntry {
	l.world.Lock()
	defer l.world.Unlock()
	return append([]model.HistoryEntry(nil), l.world.History...)
}

// SetFaults replaces the faults. One that was there before keeps how often it has struck; a machine
// that link-freeze has cut off is heard again when that fault is gone.
func (l *Lab) SetFaults(specs []string) error {
	l.world.Lock()
	defer l.world.Unlock()
	if err := mergeFaults(l.world, specs); err != nil {
		return err
	}
	for _, h := range l.hosts {
		h.thawUnless(l.world.Faults)
	}
	l.strikeNow()
	l.save(false)
	return l.failure()
}

// Operate plays an act of a person at a machine's console: one that a family knows (see Acts), or
// power-off and power-on.
func (l *Lab) Operate(ctx context.Context, name, act, arg string) error {
	h := l.hosts[strings.ToLower(name)]
	if h == nil {
		return fmt.Errorf("cannot %s on %s: the lab has no such machine", act, name)
	}
	user := "Administrator"
	if len(l.cfg.Accounts) > 0 {
		_, user, _ = l.accounts.find(l.cfg.Accounts[0].User, "")
	}
	l.world.Lock()
	defer l.world.Unlock()
	c := l.newCtx(ctx, h.m, user, false, "")
	var err error
	switch run := l.b.Operate[act]; {
	case act == "power-off":
		machine.GoDown(c)
	case act == "power-on":
		machine.ComeUp(c)
	case run == nil:
		return fmt.Errorf("cannot %s on %s: nobody knows how; the acts are %s", act, name, strings.Join(l.Acts(), ", "))
	default:
		err = run(c, arg)
	}
	l.save(false)
	if err != nil {
		return fmt.Errorf("cannot %s on %s: %w", act, name, err)
	}
	return l.failure()
}

// Acts lists what Operate can do.
func (l *Lab) Acts() []string {
	out := []string{"power-off", "power-on"}
	for n := range l.b.Operate {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// Close stops serving, ends what runs on the machines, and keeps their state. It returns the first
// failure to keep it.
func (l *Lab) Close() error {
	l.close.Do(func() {
		l.cancel()
		for _, h := range l.hosts {
			h.close()
			h.endAgent()
		}
		l.wg.Wait()
		if l.store != nil {
			l.world.Lock()
			l.save(false)
			l.world.Unlock()
			_ = l.store.history.Close()
		}
		_ = os.Remove(filepath.Join(l.cfg.Dir, endpointsFile))
		_ = l.lock.Unlock()
	})
	return l.failure()
}

// save keeps the state; the caller holds the world's lock. A failure is kept for whoever asks next:
// a machine whose disk cannot be written goes on, as emulated.
func (l *Lab) save(reads bool) {
	if err := l.store.save(l.world, reads); err != nil {
		l.log.Error("cannot keep the lab's state", "error", err)
		l.mu.Lock()
		if l.err == nil {
			l.err = err
		}
		l.mu.Unlock()
	}
}

func (l *Lab) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// newCtx makes the context of one request; the caller holds the world's lock.
func (l *Lab) newCtx(ctx context.Context, m *model.Machine, user string, network bool, dir string) *machine.Ctx {
	return &machine.Ctx{Context: ctx, W: l.world, M: m, B: l.b, User: user, Network: network, Dir: dir,
		Sleep: l.sleeper(ctx), Now: time.Now, Print: func(string) {}, Logon: l.accounts.check,
		Go: func(work func(c *machine.Ctx)) { l.background(m, work) }}
}

// background runs work on a machine that outlives the request; the caller holds the world's lock.
func (l *Lab) background(m *model.Machine, work func(c *machine.Ctx)) {
	if l.ctx.Err() != nil {
		return
	}
	l.wg.Add(1)
	go func() {
		defer l.wg.Done()
		l.world.Lock()
		defer l.world.Unlock()
		work(l.newCtx(l.ctx, m, `NT AUTHORITY\SYSTEM`, false, ""))
		l.save(false)
	}()
}

// sleeper waits in emulated time without the world's lock. What was done so far is kept first.
func (l *Lab) sleeper(ctx context.Context) func(d time.Duration) {
	return func(d time.Duration) {
		if d <= 0 {
			return
		}
		l.save(false)
		l.world.Unlock()
		defer l.world.Lock()
		t := time.NewTimer(min(time.Duration(float64(d)/l.cfg.Speed), l.cfg.Longest))
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		case <-l.ctx.Done():
		}
	}
}

// listen opens a port on loopback.
func listen() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
