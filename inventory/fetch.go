package inventory

import (
	"regexp"
	"strings"
)

const fetchHint = "write https://HOST/DIRECTORY/, with letters, digits and . _ ~ - in the names"

// fetch reads agents.fetch. A value that might hold a password is not repeated in a message.
func (r *reader) fetch() string {
	at := r.root.Get("agents").Get("fetch")
	if at.IsNull() {
		return ""
	}
	v, ok := at.Value.(string)
	if !ok {
		return "" // the shape has said what is wrong
	}
	rest, https := strings.CutPrefix(v, "https://")
	host, _, _ := strings.Cut(rest, "/")
	switch {
	case !https:
		r.list.At(r.file, at, fetchHint, "agents.fetch must begin with https://")
	case strings.Contains(host, "@"):
		r.list.At(r.file, at, "serve these files without login: they contain no secret and are verified by SHA-256",
			"agents.fetch must hold no user name or password")
	case strings.ContainsAny(v, "?#"):
		r.list.At(r.file, at, fetchHint, "agents.fetch must have no query and no fragment: file names are appended to it")
	case !regexp.MustCompile(fetchPattern).MatchString(v):
		r.list.At(r.file, at, fetchHint, "agents.fetch must be a plain https URL without characters that need escaping")
	default:
		return strings.TrimSuffix(v, "/") + "/"
	}
	return ""
}
