package protocol

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Frame is one message. Value is nil for kinds without a payload.
type Frame struct {
	ID    int64
	Kind  string
	Value any
}

// maxFrame bounds what one frame may grow to over its pieces: 64 MB.
const maxFrame = 64 << 20

// AppendFrame adds a frame's lines to buf and returns it.
func AppendFrame(buf []byte, nonce string, f Frame) ([]byte, error) {
	payload, err := Encode(f.Value)
	if err != nil {
		return buf, err
	}
	for len(payload) > MaxLine {
		buf = fmt.Appendf(buf, "%s %d %s %s\n", nonce, f.ID, kindMore, payload[:MaxLine])
		payload = payload[MaxLine:]
	}
	return fmt.Appendf(buf, "%s %d %s %s\n", nonce, f.ID, f.Kind, payload), nil
}

// Reader reads frames and keeps alien lines apart.
type Reader struct {
	in    *bufio.Reader
	nonce string
	// Stray receives lines that are no frames; nil drops them.
	Stray func(line string)
	parts map[int64]*strings.Builder
}

// NewReader reads frames of one session from in.
func NewReader(in io.Reader, nonce string) *Reader {
	return &Reader{in: bufio.NewReaderSize(in, 64<<10), nonce: nonce, parts: map[int64]*strings.Builder{}}
}

// Next returns the next frame. io.EOF says that the far end closed the stream between frames.
func (r *Reader) Next() (Frame, error) {
	for {
		line, err := r.line()
		if err != nil {
			return Frame{}, err
		}
		rest, ok := strings.CutPrefix(line, r.nonce+" ")
		if !ok {
			if r.Stray != nil && line != "" {
				r.Stray(line)
			}
			continue
		}
		fields := strings.SplitN(rest, " ", 3)
		if len(fields) != 3 {
			return Frame{}, fmt.Errorf("cannot read a frame: %d fields", len(fields))
		}
		id, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			return Frame{}, fmt.Errorf("cannot read a frame: bad id %q", fields[0])
		}
		if fields[1] == kindMore {
			p := r.parts[id]
			if p == nil {
				p = &strings.Builder{}
				r.parts[id] = p
			}
			if p.Len()+len(fields[2]) > maxFrame {
				return Frame{}, fmt.Errorf("cannot read a frame: larger than %d bytes", maxFrame)
			}
			p.WriteString(fields[2])
			continue
		}
		payload := fields[2]
		if p := r.parts[id]; p != nil {
			payload = p.String() + payload
			delete(r.parts, id)
		}
		v, err := Decode(payload)
		if err != nil {
			return Frame{}, fmt.Errorf("cannot read frame %d: %w", id, err)
		}
		return Frame{ID: id, Kind: fields[1], Value: v}, nil
	}
}

// line reads one line of at most twice MaxLine; a longer alien line is cut, a longer frame is an
// error by its own count.
func (r *Reader) line() (string, error) {
	var b strings.Builder
	for {
		part, err := r.in.ReadSlice('\n')
		if b.Len() < 2*MaxLine {
			b.Write(part)
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			if err == io.EOF && b.Len() > 0 {
				return "", io.ErrUnexpectedEOF
			}
			return "", err
		}
		return strings.TrimRight(strings.TrimPrefix(b.String(), "\ufeff"), "\r\n"), nil
	}
}
