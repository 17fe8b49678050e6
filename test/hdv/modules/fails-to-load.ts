throw new TypeError('two registers have one offset');
