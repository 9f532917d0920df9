package cli

import (
	"io"

	"deploy/internal/secret"
)

func newSecret(s string) secret.Value { return secret.New(s) }

// redactingWriter masks known secrets in what passes through it, a line at a time as slog writes.
type redactingWriter struct {
	w io.Writer
	r *secret.Redactor
}

func (w redactingWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.w, w.r.Redact(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
