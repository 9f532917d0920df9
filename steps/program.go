package steps

import "time"

// Program is what a site and its playbook compile to: what the engine runs. It is data.
type Program struct {
	Site           string
	SiteDigest     string // SHA-256 of the site file and everything it names
	Playbook       string
	PlaybookDigest string
	Nodes          []string            // every node that a task names, in inventory order
	Inventory      []string            // every node of the site; nil means Nodes
	Roles          map[string][]string // the nodes of each role, in inventory order
	Phases         []Phase             // in the order in which they run
}

// Phase is a named stage; a checkpoint stands at its end.
type Phase struct {
	ID        string
	Title     string
	Needs     []string
	OnFailure Policy
	Groups    []Group
}

// Policy says what happens when a step of the phase fails.
type Policy string

// Stop leaves everything as it stands (the default). RollBack undoes back to the last checkpoint,
// the start of this phase.
const (
	Stop     Policy = "stop"
	RollBack Policy = "rollback"
)

// Group is one step of the playbook on all its nodes (and for all its items), with the order among
// them.
type Group struct {
	StepID string
	Title  string
	Order  Order
	Tasks  []Task
}

// Order is how a step goes over its nodes.
type Order string

// Together: all at once (the default). OneByOne: each in turn, stop at the first failure.
// FirstThenRest: the first alone, then the others at once. The selector gives the sequence, so
// "active before passive" is a selector: active() + passive().
const (
	Together      Order = "together"
	OneByOne      Order = "one-by-one"
	FirstThenRest Order = "first-then-rest"
)

// Task is one step on one node. ID is unique in the program and stable: phase/step@node, or
// phase/step[item]@node.
type Task struct {
	ID      string
	Phase   string
	StepID  string
	Node    string
	Step    Step
	Timeout time.Duration // 0 means the engine's default
	Needs   []Need        // the operating systems that it can run on, each with its reason
}

// Count is the number of tasks.
func (p *Program) Count() (n int) {
	for _, ph := range p.Phases {
		for _, g := range ph.Groups {
			n += len(g.Tasks)
		}
	}
	return n
}

// Tasks returns every task in running order.
func (p *Program) Tasks() []Task {
	var out []Task
	for _, ph := range p.Phases {
		for _, g := range ph.Groups {
			out = append(out, g.Tasks...)
		}
	}
	return out
}
