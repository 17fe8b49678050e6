import type { Shell } from './shells.ts';

/**
 * What each shell runs. All of them ask `hcs __complete`, and get a line for each answer: the word, and after a tab what it
 * is. The answer `:file` says that files go there. Zsh and fish split the line themselves; bash splits words at colons
 * and equals signs, and keeps their quotes, so that it hands over the line.
 */
const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `# bash completion for hcs
_hcs() {
  local line=\${COMP_LINE:0:COMP_POINT} word typed plain tail before=
  COMPREPLY=()
  typed=\${line##*[[:space:]]}
  # What stands before the last colon or equals sign is a word of its own to readline, and stays.
  case $typed in
    [\\"\\']*) ;;
    *[:=]*)
      plain=\${typed//\\\\[:=]/__}
      [[ $plain == *[:=]* ]] && tail=\${plain##*[:=]} || tail=$plain
      before=\${typed:0:\${#typed}-\${#tail}}
      before=\${before//\\\\/}
      ;;
  esac
  while IFS= read -r word; do
    word=\${word%%$'\\t'*}
    if [[ $word == :file ]]; then
      compopt -o default -o bashdefault
    else
      compopt -o filenames
      COMPREPLY+=("\${word#"$before"}")
    fi
  done < <("$1" __complete bash "$line" 2>/dev/null)
}
complete -F _hcs hcs
`,
  zsh: `#compdef hcs
# zsh completion for hcs
_hcs() {
  local line word
  local -a found
  while IFS= read -r line; do
    if [[ $line == :file ]]; then
      _files
    else
      word=\${line%%$'\\t'*}
      word=\${word//\\\\/\\\\\\\\}
      word=\${word//:/\\\\:}
      found+=("$word\${\${(M)line:#*$'\\t'*}:+:\${line#*$'\\t'}}")
    fi
  done < <("$words[1]" __complete words "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)
  (( $#found )) && _describe -V hcs found
}
if [[ \${zsh_eval_context[-1]} == loadautofunc ]]; then
  _hcs "$@"
else
  compdef _hcs hcs
fi
`,
  fish: `# fish completion for hcs
function __hcs_complete
  set -l words (commandline -opc)
  for line in ($words[1] __complete words $words[2..-1] (commandline -ct | string unescape) 2>/dev/null)
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
