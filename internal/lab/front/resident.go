package front

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"

	"deploy/internal/lab/machine"
	"deploy/internal/session/powershell/protocol"
)

// rowsPerFrame is how many rows one R frame carries at most.
const rowsPerFrame = 256

// processID is what the hello gives as the process's id. It is the same every time: nothing may
// hang on it.
const processID = 4242

// serveResident is the far end of package resident's talk.
func serveResident(ctx context.Context, p Process, h Host) int {
	in := bufio.NewReaderSize(p.Stdin, 64<<10)
	script, nonce, err := protocol.ReadPreamble(in)
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return 3 // what the bootstrap does at the end of its input
		}
		return complain(p, err.Error(), "deploy.lab.Preamble")
	}
	sum := sha256.Sum256([]byte(script))
	if hex.EncodeToString(sum[:]) != protocol.ScriptSHA256() {
		return complain(p, "the script that was sent is not the one that this lab emulates; both sides must be the same "+
			"build of deploy", "deploy.lab.OtherScript")
	}
	s := talk{p: p, nonce: nonce}
	if !s.send(protocol.Frame{Kind: protocol.KindHello,
		Value: map[string]any{"protocol": protocol.Protocol, "process": processID}}) {
		return exitKilled
	}
	frames := protocol.NewReader(in, nonce)
	last := int64(0)
	for {
		f, err := frames.Next()
		switch {
		case errors.Is(err, io.EOF), ctx.Err() != nil:
			return 0
		case err != nil:
			return complain(p, err.Error(), "deploy.lab.Frame")
		case f.Kind == protocol.KindLeave:
			return 0
		case f.Kind != protocol.KindRequest || f.ID <= last:
			continue // a repeat after a lost answer: what it asks may have been done
		}
		last = f.ID
		if !s.answer(ctx, h, f) {
			return exitKilled
		}
	}
}

// talk writes frames.
type talk struct {
	p     Process
	nonce string
}

// send writes frames in one go. It says whether somebody still listens.
func (t talk) send(frames ...protocol.Frame) bool {
	var buf []byte
	for _, f := range frames {
		var err error
		if buf, err = protocol.AppendFrame(append(buf, '\n'), t.nonce, f); err != nil {
			// a value that the codec does not know is a mistake in a machine: say it where it is seen
			buf, _ = protocol.AppendFrame(buf, t.nonce, protocol.Frame{ID: f.ID, Kind: protocol.KindError, Value: failure(err)})
			break
		}
	}
	_, err := t.p.Stdout.Write(buf)
	return err == nil
}

// answer carries out one request.
func (t talk) answer(ctx context.Context, h Host, f protocol.Frame) bool {
	q, _ := f.Value.(map[string]any)
	verb, _ := q["verb"].(string)
	args, _ := q["args"].(map[string]any)
	rows, err := h.Serve(ctx, t.p, verb, args)
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		return t.send(protocol.Frame{ID: f.ID, Kind: protocol.KindError, Value: failure(err)})
	}
	var out []protocol.Frame
	for len(rows) > 0 {
		n := min(len(rows), rowsPerFrame)
		list := make([]any, n)
		for i, r := range rows[:n] {
			list[i] = plainMap(r)
		}
		out = append(out, protocol.Frame{ID: f.ID, Kind: protocol.KindRows, Value: list})
		rows = rows[n:]
	}
	return t.send(append(out, protocol.Frame{ID: f.ID, Kind: protocol.KindDone})...)
}

// failure is the payload of an E frame.
func failure(err error) map[string]any {
	var f *machine.Fail
	if !errors.As(err, &f) {
		f = &machine.Fail{Code: 0x80004005, Category: "NotSpecified", Type: "System.Exception", Text: err.Error()}
	}
	return map[string]any{"code": int64(uint32(f.Code)), "id": f.ID, "category": f.Category, "type": f.Type,
		"text": f.Text}
}

// plain turns what machines answer into what the codec carries.
func plain(v any) any {
	switch v := v.(type) {
	case machine.Enum:
		return v.Number
	case machine.Object:
		return plainMap(v)
	case []machine.Object:
		out := make([]any, len(v))
		for i, o := range v {
			out[i] = plainMap(o)
		}
		return out
	case map[string]any:
		return plainMap(v)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = plain(x)
		}
		return out
	}
	return v
}

func plainMap(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = plain(v)
	}
	return out
}
