package nearest

import "testing"

func TestOf(t *testing.T) {
	words := []string{"address", "transport", "credential", "roles"}
	for got, want := range map[string]string{
		"adress": "address", "adderss": "address", "Transport": "transport", "crednetial": "credential",
		"role": "roles", "x": "", "playbook": "", "": "",
	} {
		if w := Of(got, words); w != want {
			t.Errorf("Of(%q) = %q, want %q", got, w, want)
		}
	}
}
