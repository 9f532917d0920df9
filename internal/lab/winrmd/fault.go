package winrmd

import "fmt"

// fault is a refusal in the form of MS-WSMV 2.2.4.43. Text is for people; Code is what clients
// decide on.
type fault struct {
	Code    uint32
	Side    string // Sender or Receiver
	Subcode string // w:TimedOut, w:InvalidSelectors, ...
	Text    string
}

func (f *fault) Error() string { return fmt.Sprintf("fault %d: %s", f.Code, f.Text) }

// Codes of wsmerror.h, and two of winerror.h that WinRM passes on.
const (
	codeResourceNotFound  = 0x80338000
	codeInvalidHeader     = 0x8033800F
	codeHeaderRequired    = 0x80338011
	codeActionUnsupported = 0x80338013
	codeInvalidBody       = 0x80338027
	codeTimedOut          = 0x80338029 // 2150858793
	codeEncodingLimit     = 0x80338035
	codeShellNotFound     = 0x8033805B // 2150858843, for an unknown command as well
	codeMaxShells         = 0x803381A5 // 2150859173
	codeMaxOperations     = 0x803381A6 // 2150859174
	codeMaxCommands       = 0x803381E9 // 2150859241, commands per shell
	codeAborted           = 995
)

func faultTimedOut() *fault {
	return &fault{codeTimedOut, "Receiver", "w:TimedOut",
		"The operation did not end within the OperationTimeout of the request."}
}

func faultNoShell(id string) *fault {
	return &fault{codeShellNotFound, "Sender", "w:InvalidSelectors", fmt.Sprintf("No shell has the id %s. It was "+
		"deleted, or it ended when the machine restarted or when it was idle for too long.", id)}
}

func faultNoCommand(id string) *fault {
	return &fault{codeShellNotFound, "Sender", "w:InvalidSelectors",
		fmt.Sprintf("No command has the id %s. It has ended, or the id is wrong.", id)}
}

func faultAborted() *fault {
	return &fault{codeAborted, "Receiver", "w:InternalError",
		"The operation was ended because the command was told to terminate."}
}

func faultInvalidBody(why string) *fault {
	return &fault{codeInvalidBody, "Sender", "w:InvalidParameter", "The body of the request is not valid: " + why}
}

func faultInvalidHeader(why string) *fault {
	return &fault{codeInvalidHeader, "Sender", "a:InvalidMessageInformationHeader",
		"A header of the request is not valid: " + why}
}

func faultHeaderRequired(name string) *fault {
	return &fault{codeHeaderRequired, "Sender", "a:MessageInformationHeaderRequired",
		"The request lacks the header " + name + "."}
}

func faultEncodingLimit(why string) *fault {
	return &fault{codeEncodingLimit, "Sender", "w:EncodingLimit", "The request is beyond a limit of the service: " + why}
}

func faultAction(action string) *fault {
	return &fault{codeActionUnsupported, "Sender", "a:ActionNotSupported",
		"The service does not know the action " + action + "."}
}

func faultResource(uri string) *fault {
	return &fault{codeResourceNotFound, "Sender", "a:DestinationUnreachable",
		"The service does not know the resource " + uri + "."}
}

func faultQuota(code uint32, what string, limit int) *fault {
	return &fault{code, "Receiver", "w:QuotaLimit", fmt.Sprintf("This user is allowed a maximum number of %d %s, and "+
		"has them.", limit, what)}
}

// body writes the fault for machine.
func (f *fault) body(machine string) string {
	return fmt.Sprintf(`<s:Fault><s:Code><s:Value>s:%s</s:Value><s:Subcode><s:Value>%s</s:Value></s:Subcode></s:Code>`+
		`<s:Reason><s:Text xml:lang="en-US">%s</s:Text></s:Reason><s:Detail><f:WSManFault xmlns:f="%s" Code="%d" Machine="%s">`+
		`<f:Message>%s</f:Message></f:WSManFault></s:Detail></s:Fault>`,
		f.Side, f.Subcode, escape(f.Text), nsFault, f.Code, escape(machine), escape(f.Text))
}
