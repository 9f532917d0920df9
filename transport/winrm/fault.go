package winrm

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Fault is a refusal by the WS-Management service. Decide on Code; Text is in the machine's
// language.
type Fault struct {
	Code    uint32 // WSManFault/@Code, or the MSFT_WmiError code; 0 when the service gave none
	Subcode string // local name of the SOAP subcode: "TimedOut", "InvalidSelectors", "InternalError", "EncodingLimit"
	Text    string
}

func (f *Fault) Error() string {
	s := "the service refused"
	if f.Code != 0 {
		s += fmt.Sprintf(" with fault %d (0x%08X)", f.Code, f.Code)
	}
	if f.Subcode != "" {
		s += " " + f.Subcode
	}
	if f.Text != "" {
		s += ": " + f.Text
	}
	return s
}

// Codes of faults that callers decide on. Source: wsmerror.h and winerror.h.
const (
	FaultTimedOut = 2150858793 // ERROR_WSMAN_OPERATION_TIMEDOUT: nothing to say within OperationTimeout
	// ERROR_WINRS_SHELL_NOT_FOUND: it was deleted, was idle too long, or the machine restarted
	FaultNoShell       = 2150858843
	FaultMaxShells     = 2150859173 // too many shells of this user
	FaultMaxOperations = 2150859174 // too many operations of this user
	FaultKeyDeleted    = 2147943418 // ERROR_KEY_DELETED as an HRESULT: the user's profile was unloaded under the shell
	FaultBusy          = 170        // ERROR_BUSY
	FaultAborted       = 995        // ERROR_OPERATION_ABORTED: after a Signal
	FaultAccessDenied  = 5          // ERROR_ACCESS_DENIED
	FaultEnvelope      = 0x80338035 // the message is larger than MaxEnvelopeSizekb; also told by the subcode EncodingLimit
)

// FaultCode returns the code of the Fault in err's chain, or 0.
func FaultCode(err error) uint32 {
	var f *Fault
	if errors.As(err, &f) {
		return f.Code
	}
	return 0
}

// tooLarge says that the service refused a message for its size, before it read it.
func tooLarge(err error) bool {
	var f *Fault
	var h *HTTPError
	return errors.As(err, &f) && (f.Code == FaultEnvelope || f.Subcode == "EncodingLimit") || errors.As(err, &h) &&
		h.Status == http.StatusRequestEntityTooLarge
}

const (
	nsSOAP  = "http://www.w3.org/2003/05/soap-envelope"
	nsShell = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
)

// parseFault looks for a SOAP fault. ok is false when the document is none; err says that it is no
// XML at all.
func parseFault(body []byte) (f *Fault, ok bool, err error) {
	d := xml.NewDecoder(strings.NewReader(string(body)))
	d.Strict = true
	var path []xml.Name
	f = &Fault{}
	var value, reason, message, number strings.Builder
	elements := 0
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, false, fmt.Errorf("not an XML answer: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			elements++
			path = append(path, t.Name)
			switch {
			case t.Name.Space == nsSOAP && t.Name.Local == "Fault":
				ok = true
			case ok && t.Name.Local == "WSManFault" && f.Code == 0:
				for _, a := range t.Attr {
					if a.Name.Local == "Code" {
						f.Code = code(a.Value)
					}
				}
			case ok && t.Name.Local == "Subcode":
				value.Reset() // of the code's own value only what follows counts
			}
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData:
			if !ok || len(path) == 0 {
				continue
			}
			switch path[len(path)-1].Local {
			case "Value":
				value.Write(t)
			case "Text":
				reason.Write(t)
			case "Message":
				message.Write(t)
			case "error_Code", "HRESULT":
				number.Write(t)
			}
		}
	}
	if elements == 0 {
		return nil, false, errors.New("not an XML answer: no element in it")
	}
	if !ok {
		return nil, false, nil
	}
	_, f.Subcode, _ = strings.Cut(strings.TrimSpace(value.String()), ":")
	f.Text = strings.Join(strings.Fields(message.String()), " ")
	if f.Text == "" {
		f.Text = strings.Join(strings.Fields(reason.String()), " ")
	}
	if f.Code == 0 {
		f.Code = code(strings.TrimSpace(number.String()))
	}
	if f.Code == 0 && f.Subcode == "TimedOut" {
		f.Code = FaultTimedOut // a service that leaves the detail out
	}
	return f, true, nil
}

// code reads a number that is written as signed or unsigned 32 bits.
func code(s string) uint32 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < -1<<31 || n > 1<<32-1 {
		return 0
	}
	return uint32(n)
}
