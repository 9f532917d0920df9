// Package playbooks is the playbook language and the playbooks that come with deploy. A playbook
// and a site compile to a steps.Program: ordered phases of tasks, as data. Nothing here touches a
// machine or the network.
package playbooks

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"deploy/internal/rules"
	"deploy/internal/yamlx"
	"deploy/internal/yamlx/shape"
	"deploy/steps"
)

// Playbook is a playbook file, checked and compiled as far as that is possible without a site.
type Playbook struct {
	Name, Title, Description string
	File                     string // as shown in messages
	Source                   []byte
	Parameters               *shape.Type // an object
	NodeParameters           *shape.Type // an object
	Roles                    []Role
	Warnings                 []*yamlx.Error

	lines  []string
	rules  []rule
	phases []phase
}

// Role is a role that a playbook declares. Max 0 means no bound.
type Role struct {
	Name, Doc string
	Min, Max  int
}

type rule struct {
	rule     rules.Rule
	severity rules.Severity
	node     *yamlx.Node
	assert   *texts
	cond     *texts
	each     *each
	at       *texts
	message  *texts
	hint     *texts
}

type phase struct {
	id, title string
	needs     []string
	policy    steps.Policy
	steps     []step
	node      *yamlx.Node
}

type step struct {
	id, title, kind string
	node            *yamlx.Node
	on              *texts
	each            *each
	key             *texts
	cond            *texts
	never           bool // if: false
	conditional     bool
	order           steps.Order
	timeout         time.Duration
	with            *value
}

// each is what a step or rule is repeated for: an expression, or a list as written.
type each struct {
	node *yamlx.Node
	expr *texts
	list *value
}

// Digest is the SHA-256 of the playbook's bytes, in hexadecimal.
func (pb *Playbook) Digest() string {
	sum := sha256.Sum256(pb.Source)
	return hex.EncodeToString(sum[:])
}
