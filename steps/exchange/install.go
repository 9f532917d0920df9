package exchange

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps"
	"deploy/steps/inspect"
)

// Install installs Exchange 2007 server roles on the node.
type Install struct {
	Roles     []string `json:"roles" doc:"roles: Mailbox, HubTransport, ClientAccess, UnifiedMessaging, ManagementTools; on a node of a failover cluster only Mailbox" required:"true" items:"1" enum:"ClientAccess|HubTransport|Mailbox|ManagementTools|UnifiedMessaging" check:"compared"`
	Setup     string   `json:"setup" doc:"path of setup.com on the node, on a local disk" required:"true" example:"D:\\Exchange\\setup.com" type:"path" check:"instruction:media"`
	TargetDir string   `json:"target_dir" doc:"folder to install into; setup's default when empty" type:"path" check:"fixed"`
	As        string   `json:"as" doc:"credential of the site: Exchange organisation administrator and local administrator" required:"true" example:"admin" type:"credential" check:"instruction:account"`
}

type installBefore struct {
	Roles []string `json:"roles"` // those that were not there
	Bare  bool     `json:"bare"`  // no role at all was there
	Setup string   `json:"setup"`
	As    string   `json:"as"`
}

// roleKeys are the registry keys of the roles below roleRoot. Only MailboxRole is confirmed from
// public sources.
var roleKeys = map[string]string{
	"Mailbox": "MailboxRole", "HubTransport": "HubTransportRole", "ClientAccess": "ClientAccessRole",
	"UnifiedMessaging": "UnifiedMessagingRole", "ManagementTools": "AdminTools",
}

func installKind() steps.Kind {
	return steps.Kind{
		Name:    "exchange.install",
		OS:      "windows",
		Summary: "Installs Exchange 2007 server roles.",
		Doc: "Reads each role's registry key: ConfiguredVersion alone means installed. UnpackedVersion without it, or " +
			"with Action or Watermark beside it, means that a setup was cut: " +
			"one that deploy started is gone on with, somebody else's is an error. setup.com runs as a job whose name " +
			"follows from the wish, so that a run that was cut finds it again and waits. " +
			"It has worked only when exit code, registry and setup's log agree.",
		Undo:  "Uninstalls the roles that it installed.",
		Proof: proof,
		Sources: []string{"How to install Exchange 2007 in unattended mode",
			"registry keys of roles as setup itself probes them"},
		Calls:   []node.Call{setupCall()},
		New:     func() steps.Step { return &Install{} },
		Example: "roles: [Mailbox]\nsetup: D:\\Exchange\\setup.com\nas: admin\n",
	}
}

// Kind names the step.
func (s *Install) Kind() string { return "exchange.install" }

// Provides names what exists once the roles are installed: "exchange/role:Mailbox".
func (s *Install) Provides() []string {
	var out []string
	for _, r := range s.Roles {
		out = append(out, "exchange/role:"+r)
	}
	return out
}

// Reads names what Check will ask.
func (s *Install) Reads(node.Facts) []node.Query {
	var out []node.Query
	for _, key := range roleKeys {
		out = append(out, node.Registry{Key: roleRoot + `\` + key})
	}
	return append(out, node.Registry{Key: markKey(s.id())})
}

func (s *Install) id() string {
	roles := slices.Clone(s.Roles)
	slices.Sort(roles)
	return jobID("install", append(roles, s.Setup)...)
}

// role states.
const (
	roleAbsent = iota
	rolePartial
	roleDone
)

// roleState reads one role's key. Source: the rule by which setup's own later versions tell a cut
// run.
func roleState(ctx context.Context, r node.Reader, role string) (int, error) {
	rows, err := r.Query(ctx, node.Registry{Key: roleRoot + `\` + roleKeys[role]})
	if errors.Is(err, node.ErrNotFound) {
		return roleAbsent, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot tell whether role %s is installed on %s: %w", role, r.Facts().Computer, err)
	}
	have := map[string]bool{}
	for _, row := range rows {
		have[strings.ToLower(row.String("name"))] = true
	}
	switch {
	case (have["action"] || have["watermark"]) && have["configuredversion"]:
		// a clustered mailbox server that is being made writes its watermark into the role that is
		// already there
		making, err := anyMark(ctx, r, "exchange-newcms-")
		if err != nil || making {
			return roleDone, err
		}
		return rolePartial, nil
	case have["action"] || have["watermark"]:
		return rolePartial, nil
	case have["configuredversion"]:
		return roleDone, nil
	case have["unpackedversion"]:
		return rolePartial, nil
	}
	return roleAbsent, nil
}

// Check reads the roles' registry keys.
func (s *Install) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	states := map[string]int{}
	bare := true
	for role := range roleKeys {
		st, err := roleState(ctx, r, role)
		if err != nil {
			return steps.Diff{}, err
		}
		states[role] = st
		bare = bare && st != roleDone
	}
	ours, err := marked(ctx, r, s.id())
	if err != nil {
		return steps.Diff{}, err
	}
	d := steps.Diff{Action: steps.Run, Via: "setup.com as a job"}
	b := installBefore{Bare: bare, Setup: s.Setup, As: s.As}
	for _, role := range s.Roles {
		switch states[role] {
		case roleDone:
			continue
		case rolePartial:
			if !ours {
				return steps.Diff{}, hint.Wrap(fmt.Errorf("cannot install role %s on %s: a setup that deploy did not start was "+
					"cut half-way", role, r.Facts().Computer),
					"finish or remove it by hand: setup's log is "+setupLog)
			}
			d.Changes = append(d.Changes, steps.Change{Attr: role, From: "half installed", To: "installed"})
		case roleAbsent:
			d.Changes = append(d.Changes, steps.Change{Attr: role, From: nil, To: "installed"})
		}
		b.Roles = append(b.Roles, role)
	}
	if !bare {
		if err := s.sameTarget(ctx, r); err != nil {
			return steps.Diff{}, err
		}
	}
	if len(b.Roles) == 0 {
		if ours {
			// everything is installed, only our own mark is left to clear
			return steps.Diff{Action: steps.Update,
				Changes: []steps.Change{{Attr: "mark of a setup that was under way", From: s.id(), To: nil}},
				Effects: steps.Effects{NothingToUndo: true}}, nil
		}
		return steps.NoChange(), nil
	}
	d.Before = steps.MustJSON(b)
	return d, nil
}

// sameTarget compares the folder that the first role was installed into: all roles of a machine are
// in one.
func (s *Install) sameTarget(ctx context.Context, r node.Reader) error {
	if s.TargetDir == "" {
		return nil
	}
	v, found, err := inspect.RegistryValue(ctx, r, setupKey, "MsiInstallPath")
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("cannot tell where Exchange is installed on %s: setup has left no MsiInstallPath",
			r.Facts().Computer)
	}
	if samePath(v.Text(), s.TargetDir) {
		return nil
	}
	return steps.FixedErr("Exchange on "+r.Facts().Computer, "folder", v.Text(), s.TargetDir,
		"put target_dir back: an installed server does not move")
}

// Apply runs setup and looks at what it left.
func (s *Install) Apply(ctx context.Context, n node.Node, d steps.Diff) (steps.Outcome, error) {
	id := s.id()
	if d.Action == steps.Update {
		return steps.Outcome{}, unmark(ctx, n, id)
	}
	if err := mark(ctx, n, id, "install "+strings.Join(s.Roles, ",")); err != nil {
		return steps.Outcome{}, err
	}
	args := []string{"/mode:Install", "/roles:" + strings.Join(s.Roles, ",")}
	if s.TargetDir != "" {
		args = append(args, "/TargetDir:"+s.TargetDir)
	}
	if err := runSetup(ctx, n, id, s.Setup, s.As, args...); err != nil {
		return steps.Outcome{}, err
	}
	for _, role := range s.Roles {
		st, err := roleState(ctx, n, role)
		if err != nil {
			return steps.Outcome{}, err
		}
		if st != roleDone {
			return steps.Outcome{}, hint.Wrap(fmt.Errorf("setup ended well on %s, but the registry says that role %s is not "+
				"complete", n.Facts().Computer, role),
				"read "+setupLog+" on the node")
		}
	}
	return steps.Outcome{}, unmark(ctx, n, id)
}

// Undo uninstalls the roles that the step installed.
func (s *Install) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b installBefore
	if err := decode(before, &b); err != nil {
		return err
	}
	var there []string
	for _, role := range b.Roles {
		st, err := roleState(ctx, n, role)
		if err != nil {
			return err
		}
		if st != roleAbsent {
			there = append(there, role)
		}
	}
	if len(there) > 0 {
		args := []string{"/mode:Uninstall"}
		if !b.Bare {
			args = append(args, "/roles:"+strings.Join(there, ","))
		}
		if err := runSetup(ctx, n, jobID("uninstall", b.Setup), b.Setup, b.As, args...); err != nil {
			return err
		}
		for _, role := range there {
			st, err := roleState(ctx, n, role)
			if err != nil {
				return err
			}
			if st != roleAbsent {
				return fmt.Errorf("setup ended well on %s, but role %s is still there", n.Facts().Computer, role)
			}
		}
	}
	return unmark(ctx, n, s.id())
}
