package view

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// JSONFormat is the version of all JSON that the program writes: the first key, "format", of each
// document and of each line of a stream. Keys may be added to a format; what is renamed, removed
// or changes its type makes another one.
const JSONFormat = 2

// WriteJSON writes one document, indented. v encodes to an object.
func WriteJSON(w io.Writer, v any) error {
	b, err := numbered(v)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err = w.Write(out.Bytes())
	return err
}

// WriteJSONLine writes one line of a stream. v encodes to an object.
func WriteJSONLine(w io.Writer, v any) error {
	b, err := numbered(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// numbered encodes v with the format in front. A document that brings its own, as a saved plan
// does, keeps that.
func numbered(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	text := bytes.TrimSpace(b.Bytes())
	switch {
	case len(text) < 2 || text[0] != '{':
		return nil, errors.New("cannot write JSON: it is no object, so it cannot say its format")
	case bytes.HasPrefix(text, []byte(`{"format":`)):
		return text, nil
	}
	head := fmt.Sprintf(`{"format":%d`, JSONFormat)
	if text[1] != '}' {
		head += ","
	}
	return append([]byte(head), text[1:]...), nil
}
