package front

import (
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
)

// encodingOf returns the encoding of a console code page; nil is UTF-8. A page that is not known is
// taken for 437, the default.
func encodingOf(page int) encoding.Encoding {
	switch page {
	case 65001:
		return nil
	case 850:
		return charmap.CodePage850
	case 852:
		return charmap.CodePage852
	case 858:
		return charmap.CodePage858
	case 932:
		return japanese.ShiftJIS
	case 1250:
		return charmap.Windows1250
	case 1252:
		return charmap.Windows1252
	}
	return charmap.CodePage437
}

// encodeText writes text in a code page. What the page does not have becomes a question mark, as
// WideCharToMultiByte does it.
func encodeText(page int, s string) []byte {
	enc := encodingOf(page)
	if enc == nil || isASCII(s) {
		return []byte(s)
	}
	e := enc.NewEncoder()
	out := make([]byte, 0, len(s))
	for _, r := range s {
		b, err := e.Bytes([]byte(string(r)))
		if err != nil {
			b = []byte{'?'}
		}
		out = append(out, b...)
	}
	return out
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
