package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"deploy/internal/node"
	"deploy/internal/session"
	"deploy/internal/session/linux"
)

// maxBatch is how long the calls of one batch may be, in bytes: the far end reads the line byte by
// byte.
const maxBatch = 32 << 10

// maxAnswer is how long an answer of a batch may say that it is, in bytes.
const maxAnswer = 1 << 30

// prefetch is an answer on its way.
type prefetch struct {
	plan plan
	op   string
	done chan struct{}
	rows []node.Row
	err  error
	none bool // the batch has no answer: it must be asked for again
}

func (p *prefetch) await(ctx context.Context) (rows []node.Row, err error, ok bool) {
	select {
	case <-p.done:
		return p.rows, p.err, !p.none
	case <-ctx.Done():
		return nil, ctx.Err(), true
	}
}

// Prefetch sends all queries in one channel (more when they are very long) and returns without
// waiting for the answers.
func (s *Session) Prefetch(ctx context.Context, qs []node.Query) error {
	return s.Fetch(ctx, qs, func(reqs []node.Request) ([]session.Answer, error) {
		out := make([]session.Answer, len(reqs))
		var batch []*prefetch
		var code strings.Builder
		for i, r := range reqs {
			p := &prefetch{op: r.Op(), done: make(chan struct{})}
			var err error
			if p.plan, err = s.planOf(r); err != nil {
				continue // said when it is asked for
			}
			words, err := linux.Line(p.plan.call)
			if err != nil {
				continue
			}
			if code.Len()+len(words) > maxBatch && len(batch) > 0 {
				s.sendBatch(batch, code.String())
				batch = nil
				code.Reset()
			}
			how := "verb"
			if p.plan.tool {
				how = "tool"
			}
			fmt.Fprintf(&code, "; %s %d %s", how, len(batch), words)
			batch = append(batch, p)
			out[i] = p.await
		}
		if len(batch) > 0 {
			s.sendBatch(batch, code.String())
		}
		return out, nil
	})
}

// sendBatch asks for a batch in the background. Each program has the session's limit: the clock
// begins anew with every answer.
func (s *Session) sendBatch(batch []*prefetch, calls string) {
	text := linux.Functions() + filesScript + frameScript + ownerScript + batchScript
	line, err := linux.Line([]string{text})
	f := &framer{s: s, batch: batch, pace: make(chan struct{}, 1)}
	ask := func() {
		defer f.finish()
		if err != nil {
			return
		}
		o := order{op: "prefetch", code: `text=` + line + `; eval "$text"; batch_begin` + calls, out: f, pace: f.pace}
		_, _ = s.perform(s.alive, o) // whoever asks for an answer that did not come asks again, and hears why
	}
	if !s.spawn(ask) {
		f.finish()
	}
}

// framer takes the answers of a batch out of the stream: "NUMBER KIND CODE LENGTH LENGTH", stdout,
// stderr.
type framer struct {
	s     *Session
	batch []*prefetch
	pace  chan struct{}
	buf   bytes.Buffer
	next  int
	bad   error
}

func (f *framer) Write(p []byte) (int, error) {
	f.buf.Write(p)
	for f.bad == nil && f.step() {
		select {
		case f.pace <- struct{}{}:
		default:
		}
	}
	if f.bad != nil {
		return 0, f.bad
	}
	return len(p), nil
}

func (f *framer) step() bool {
	data := f.buf.Bytes()
	end := bytes.IndexByte(data, '\n')
	if end < 0 {
		return false
	}
	head := strings.Fields(string(data[:end]))
	if len(head) != 5 || f.next >= len(f.batch) || head[0] != strconv.Itoa(f.next) {
		f.bad = errors.New("an answer of a batch is out of turn")
		return false
	}
	code, err1 := strconv.Atoi(head[2])
	outs, err2 := strconv.Atoi(head[3])
	errs, err3 := strconv.Atoi(head[4])
	if f.bad = errors.Join(err1, err2, err3); f.bad != nil {
		return false
	}
	if outs < 0 || errs < 0 || outs > maxAnswer || errs > maxAnswer {
		f.bad = errors.New("an answer of a batch has no such length")
		return false
	}
	if len(data) < end+1+outs+errs {
		return false
	}
	f.buf.Next(end + 1)
	out := outcome{code: code, begun: head[1] == "run", stdout: bytes.Clone(f.buf.Next(outs)),
		stderr: bytes.Clone(f.buf.Next(errs))}
	p := f.batch[f.next]
	f.next++
	if p.err = f.s.typed(order{op: p.op}, out.begun, out.code, out.stderr); p.err == nil {
		p.rows, p.err = p.plan.read(out)
	}
	close(p.done)
	return true
}

// finish says of all that is left that there is no answer.
func (f *framer) finish() {
	for ; f.next < len(f.batch); f.next++ {
		f.batch[f.next].none = true
		close(f.batch[f.next].done)
	}
}
