import type { Shell } from './completion-command.ts';

/**
 * What each shell runs. All of them ask `hcs __complete -- WORDS`, the last word being the one that is typed, and get a
 * line for each answer: the word, and after a tab what it is. The answer `:file` says that files go there.
 */
const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `# bash completion for hcs
_hcs() {
  local line cur words=()
  # Words as the shell runs them, not as readline breaks them at colons and equals signs.
  cur=\${COMP_LINE:0:COMP_POINT}
  cur=\${cur##*[[:space:]]}
  [[ \${COMP_WORDBREAKS} == *:* && \${cur} == *:* ]] && local prefix=\${cur%"\${cur##*:}"} || local prefix=
  local i
  for ((i = 1; i < COMP_CWORD; i++)); do words+=("$(_hcs_unquote "\${COMP_WORDS[i]}")"); done
  [[ -n $prefix ]] && words=($(printf '%s\\n' "\${COMP_LINE:0:COMP_POINT}" | awk '{ for (i = 2; i < NF; i++) print $i }'))
  COMPREPLY=()
  while IFS= read -r line; do
    line=\${line%%$'\\t'*}
    if [[ $line == :file ]]; then
      compopt -o default 2>/dev/null
      continue
    fi
    line=$(printf '%q' "$line")
    COMPREPLY+=("\${line#"$prefix"}")
  done < <(command hcs __complete -- "\${words[@]}" "$(_hcs_unquote "$cur")" 2>/dev/null)
}
_hcs_unquote() {
  local word=$1
  word=\${word#[\\"\\']}
  printf '%s' "\${word//\\\\/}"
}
complete -F _hcs hcs
`,
  zsh: `#compdef hcs
# zsh completion for hcs
_hcs() {
  local line
  local -a answers
  for line in "\${(@f)$(command hcs __complete -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)}"; do
    [[ -z $line ]] && continue
    if [[ $line == :file ]]; then
      _files
      continue
    fi
    answers+=("\${\${line%%$'\\t'*}//:/\\\\:}\${\${(M)line:#*$'\\t'*}:+:\${line#*$'\\t'}}")
  done
  _describe 'hcs' answers
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _hcs "$@"
else
  compdef _hcs hcs
fi
`,
  fish: `# fish completion for hcs
function __hcs_complete
  set -l words (commandline -opc)
  set -l answers (command hcs __complete -- $words[2..-1] (commandline -ct) 2>/dev/null)
  for line in $answers
    if test "$line" = ":file"
      __fish_complete_path (commandline -ct)
    else
      printf '%s\\n' $line
    end
  end
end
complete -c hcs -f -a '(__hcs_complete)'
`,
};

/** The script that teaches a shell to complete `hcs`. */
export function completionScript(shell: Shell): string {
  return SCRIPTS[shell];
}
