package powershell

import (
	"bytes"
	"compress/flate"
)

// packer makes pieces of a file smaller where that is worth it. On WinRM what is not sent is the
// only thing that is fast: a byte of a file is 1.8 bytes there, base64 in the frame and again in
// the envelope. Each piece is a deflate stream of its own.
type packer struct {
	out bytes.Buffer
	w   *flate.Writer
}

// piece returns what to send for data, and whether that is packed. The result stands until the next
// call.
func (p *packer) piece(data []byte) ([]byte, bool) {
	p.out.Reset()
	if p.w == nil {
		p.w, _ = flate.NewWriter(&p.out, flate.BestSpeed) // fails for a wrong level only
	} else {
		p.w.Reset(&p.out)
	}
	// a bytes.Buffer takes everything
	_, _ = p.w.Write(data)
	_ = p.w.Close()
	if p.out.Len() > len(data)*9/10 {
		return data, false
	}
	return p.out.Bytes(), true
}
