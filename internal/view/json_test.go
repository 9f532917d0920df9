package view

import (
	"bytes"
	"encoding/json"
	"testing"

	"deploy/internal/engine"
)

func TestJSONFormat(t *testing.T) {
	for _, c := range []struct {
		v           any
		line, whole string
	}{
		{struct{}{}, `{"format":2}`, "{\n  \"format\": 2\n}"},
		{map[string]string{"a": "<b>"}, `{"format":2,"a":"<b>"}`, "{\n  \"format\": 2,\n  \"a\": \"<b>\"\n}"},
		{engine.Plan{}.Counts, `{"format":2,"tasks":0,"no_op":0,"change":0,"unknown":0}`, ""},
		{json.RawMessage(`{"format":1}`), `{"format":1}`, "{\n  \"format\": 1\n}"},
	} {
		var line, whole bytes.Buffer
		if err := WriteJSONLine(&line, c.v); err != nil || line.String() != c.line+"\n" {
			t.Errorf("%v: %v, %s", c.v, err, line.String())
		}
		if err := WriteJSON(&whole, c.v); err != nil || c.whole != "" && whole.String() != c.whole+"\n" {
			t.Errorf("%v: %v, %s", c.v, err, whole.String())
		}
	}
	for _, v := range []any{[]int{1}, "text", nil} {
		if err := WriteJSON(&bytes.Buffer{}, v); err == nil {
			t.Errorf("%v was written without a format", v)
		}
	}
}
