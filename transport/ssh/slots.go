package ssh

import (
	"context"
	"sync"
)

// maxSessions stays below sshd's MaxSessions default of 10, which refuses the eleventh with "open
// failed".
const maxSessions = 8

// slots bounds the sessions of one connection. A server that allows fewer says so only by refusing
// one, so the limit is learnt.
type slots struct {
	mu          sync.Mutex
	limit, used int
	freed       chan struct{} // closed when a session ends
}

func newSlots() *slots { return &slots{limit: maxSessions, freed: make(chan struct{})} }

// take waits until a session may be opened.
func (s *slots) take(ctx context.Context) error {
	for {
		s.mu.Lock()
		if s.used < s.limit {
			s.used++
			s.mu.Unlock()
			return nil
		}
		freed := s.freed
		s.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// free gives a session back.
func (s *slots) free() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release()
}

func (s *slots) release() {
	s.used--
	close(s.freed)
	s.freed = make(chan struct{})
}

// refused gives back a session that the server did not open, and asks for no more at once than were
// open beside it. It says whether there were any.
func (s *slots) refused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release()
	if s.used == 0 {
		return false
	}
	s.limit = min(s.limit, s.used)
	return true
}
