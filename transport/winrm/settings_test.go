package winrm

import (
	"errors"
	"strings"
	"testing"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/transport"
)

// TestRefusedSettings: what is wrong with the settings is refused before anything is sent. It is
// not about the link, so that nobody tries again, and the hint names keys that a site file has.
func TestRefusedSettings(t *testing.T) {
	for _, c := range []struct {
		w         transport.WinRM
		want, try string
	}{
		{transport.WinRM{Auth: "kerberos", HTTPS: true}, "Kerberos is not built in", "auth: ntlm"},
		{transport.WinRM{Auth: "basic"}, "password in clear", "scheme: https"},
		{transport.WinRM{Auth: "certificate"}, "needs HTTPS", "scheme: https"},
		{transport.WinRM{Auth: "digest", HTTPS: true}, "no authentication", ""},
	} {
		_, err := New(Options{}).Dial(t.Context(), transport.Target{Node: "n1", Address: "127.0.0.1", Port: 1, WinRM: c.w})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(hint.Of(err), c.try) {
			t.Errorf("%+v: %v, hint %q", c.w, err, hint.Of(err))
		}
		var link *node.LinkError
		if errors.As(err, &link) {
			t.Errorf("%+v would be tried again: %v", c.w, err)
		}
	}
}
