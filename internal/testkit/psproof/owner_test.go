package psproof

import "strconv"

// ownerCase are the owner records of a machine, and requests that carry a fence.
func ownerCase() proofCase {
	const key = `HKLM\SOFTWARE\deploy\Owner`
	record := func(journal, run string, epoch, seq int) string {
		return "{\n  \"format\": 1,\n  \"site\": \"blue\",\n  \"journal\": \"" + journal + "\",\n  \"epoch\": " +
			strconv.Itoa(epoch) + ",\n  \"seq\": " + strconv.Itoa(seq) + ",\n  \"run\": \"" + run +
			"\",\n  \"holder\": {\n    \"who\": \"" + `\"epoch\": 99,` + "\"\n  }\n}"
	}
	stored := func(text string) [][]string {
		return [][]string{words("CreateSubKey", key), words("SetValue", key+`\blue`, "String", show(text)), words("Flush", key)}
	}
	set := func(was, record string) map[string]any { return obj("site", "blue", "was", was, "record", record) }
	fenced := func(journal, run string, epoch int, text string) map[string]any {
		return obj("path", "{dir}/fenced", "fence", obj("site", "blue", "journal", journal, "epoch", int64(epoch), "run", run,
			"record", text))
	}
	const gone, late = "deploy.Superseded", 1306
	first, second := record("j-1", "r1", 3, 7), record("j-1", "r1", 3, 8)
	old := record("j-1", "r0", 2, 5)
	return proofCase{"owner records", []step{
		ask("owner.get", obj()),
		fails("dir.make", fenced("j-1", "r1", 3, ""), gone, late),
		fails("owner.set", set("x", first), gone, late),
		ask("owner.set", set("", first)).records_(stored(first)...),
		ask("owner.get", obj(), obj("site", "blue", "record", first)),
		fails("owner.set", set("", second), gone, late),
		fails("owner.set", set(first+" ", second), gone, late),
		ask("dir.make", fenced("j-1", "r1", 3, "")),
		ask("dir.make", fenced("j-1", "", 3, first)),
		ask("dir.make", fenced("j-1", "r1", 3, second)).records_(stored(second)...),
		ask("dir.make", fenced("j-1", "r2", 10, "")),
		fails("dir.make", fenced("j-1", "r1", 2, second), gone, late),
		fails("dir.make", fenced("j-1", "r2", 3, second), gone, late),
		fails("dir.make", fenced("J-1", "r1", 3, second), gone, late),
		fails("dir.make", fenced("j-2", "r1", 99, second), gone, late),
		ask("owner.set", set(second, old)).records_(stored(old)...),
		ask("dir.make", fenced("j-1", "r1", 3, first)).records_(stored(first)...),
		ask("owner.set", set(first, "{}")).records_(stored("{}")...),
		fails("dir.make", fenced("j-1", "r1", 3, first), gone, late),
		ask("owner.set", set("{}", "")).records_(words("CreateSubKey", key), words("DeleteValue", key+`\blue`, "False"),
			words("DeleteSubKey", key), words("DeleteSubKey", `HKLM\SOFTWARE\deploy`)),
		ask("owner.get", obj()),
		ask("file.remove", obj("path", "{dir}/fenced", "tree", false)),
	}}
}
