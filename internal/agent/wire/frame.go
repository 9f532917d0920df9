package wire

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

// Frame is one message as it travels.
type Frame struct {
	Type Type
	Body json.RawMessage
}

// ErrTooLarge: a frame is larger than MaxFrame.
var ErrTooLarge = errors.New("the frame is larger than the protocol allows")

// Conn reads and writes frames. Write may be called from many goroutines, Read from one.
type Conn struct {
	r  *bufio.Reader
	mu sync.Mutex // one frame at a time
	w  io.Writer
}

// NewConn makes a Conn of a stream. Greet comes before anything else.
func NewConn(r io.Reader, w io.Writer) *Conn { return &Conn{r: bufio.NewReaderSize(r, 64<<10), w: w} }

// Greet writes this side's line.
func (c *Conn) Greet() error {
	_, err := io.WriteString(c.w, Magic+strconv.Itoa(Protocol)+"\n")
	return err
}

// VersionError: the other side speaks another version of the protocol.
type VersionError struct{ Theirs int }

func (e *VersionError) Error() string {
	return fmt.Sprintf("the other side has version %d of the agent protocol, this side %d", e.Theirs, Protocol)
}

// maxAlien is how much of somebody else's text is passed over before the other side's line, in
// bytes.
const maxAlien = 64 << 10

// Meet reads up to the other side's line and returns what stood before it. Another protocol is an
// error that names both.
func (c *Conn) Meet() (alien string, err error) {
	var before strings.Builder
	for {
		line, err := c.line()
		if i := strings.LastIndex(line, Magic); err == nil && i >= 0 {
			version, verr := strconv.Atoi(strings.TrimSpace(line[i+len(Magic):]))
			if verr == nil {
				before.WriteString(line[:i])
				if version != Protocol {
					return before.String(), &VersionError{version}
				}
				return before.String(), nil
			}
		}
		before.WriteString(line)
		if err != nil {
			return before.String(), err
		}
		if before.Len() > maxAlien {
			return before.String(), errors.New("no greeting received")
		}
	}
}

// line reads one line, or as much as may stand before a greeting.
func (c *Conn) line() (string, error) {
	var b strings.Builder
	for b.Len() <= maxAlien {
		ch, err := c.r.ReadByte()
		if err != nil {
			return b.String(), err
		}
		b.WriteByte(ch)
		if ch == '\n' {
			break
		}
	}
	return b.String(), nil
}

// Write sends one message. body is encoded as JSON.
func (c *Conn) Write(t Type, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("cannot encode a %s message: %w", t, err)
	}
	return c.WriteFrame(Frame{t, b})
}

// WriteFrame sends a frame as it is, in one write.
func (c *Conn) WriteFrame(f Frame) error {
	b, err := AppendFrame(nil, f)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err = c.w.Write(b)
	return err
}

// AppendFrame appends a frame's bytes.
func AppendFrame(b []byte, f Frame) ([]byte, error) {
	n := len(f.Body) + 1
	if n > MaxFrame {
		return b, fmt.Errorf("cannot send a %s message of %d bytes: %w", f.Type, n, ErrTooLarge)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	b = append(b, byte(f.Type))
	return append(b, f.Body...), nil
}

// Read returns the next frame. The end of the stream between two frames is io.EOF, within one
// io.ErrUnexpectedEOF.
func (c *Conn) Read() (Frame, error) {
	var head [5]byte
	if _, err := io.ReadFull(c.r, head[:4]); err != nil {
		return Frame{}, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	switch {
	case n == 0:
		return Frame{}, errors.New("received a frame without a type")
	case n > MaxFrame:
		return Frame{}, fmt.Errorf("received a frame of %d bytes: %w", n, ErrTooLarge)
	}
	if _, err := io.ReadFull(c.r, head[4:]); err != nil {
		return Frame{}, unexpected(err)
	}
	// grown as it comes: a length that lies must not cost memory
	body, err := io.ReadAll(io.LimitReader(c.r, int64(n)-1))
	if err == nil && len(body) != int(n)-1 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return Frame{}, unexpected(err)
	}
	return Frame{Type(head[4]), body}, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Decode reads the body into v.
func (f Frame) Decode(v any) error {
	if err := json.Unmarshal(f.Body, v); err != nil {
		return fmt.Errorf("cannot read a %s message: %w", f.Type, err)
	}
	return nil
}
