package shell

import (
	"errors"
	"path"
	"strings"

	"deploy/internal/node"
	"deploy/internal/session/linux"
)

// ownerDir stands beside the directory of jobs: an agent on the machine uses the same one.
func (s *Session) ownerDir() string { return path.Join(path.Dir(s.state), linux.OwnerDir) }

// rowsOfOwners reads "SITE", a null byte, the record and a null byte for each.
func rowsOfOwners(out outcome) ([]node.Row, error) {
	var rows []node.Row
	for rest := string(out.stdout); rest != ""; {
		site, after, ok := strings.Cut(rest, "\x00")
		record, next, also := strings.Cut(after, "\x00")
		if !ok || !also {
			return nil, errors.New("cannot read the owner records: the answer is cut short")
		}
		rows = append(rows, node.Row{"site": site, "record": record})
		rest = next
	}
	return rows, nil
}

// fenced is the fence that what is no request of the core's carries.
func (s *Session) fenced() *node.Fence {
	if f, ok := s.Fence(); ok {
		return &f
	}
	return nil
}
